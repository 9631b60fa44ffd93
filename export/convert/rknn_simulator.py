"""Rockchip's simulator as an engine: the process that built a .rknn file, which runs it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.engines.facts_file import TensorFacts
from edgeloop.edge.engines.placement import Placement
from edgeloop.export.convert.rknn_tool import receive, send
from edgeloop.export.convert.run_tool import last_words
from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["RknnSimulator"]

_BUILD_S, _RUN_S = 3600.0, 300.0
_LOG = "rknn.log"


class RknnSimulator:
    """Model in the process that built it; attributes as in `Engine`.

    Attributes:
        versions: Versions of the tools, by name.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        folder: Path,
        *,
        metadata: Mapping[str, str],
        inputs: Sequence[TensorFacts],
        outputs: Sequence[TensorFacts],
    ) -> None:
        """Build a model.

        Args:
            command: Interpreter, the script of `rknn_tool` and its job.
            folder: Working folder, which gets model.rknn and the log of the toolkit.
            metadata: Metadata of the model.
            inputs: The one input.
            outputs: Outputs, in the order of the graph.

        Raises:
            UnavailableError: The interpreter cannot be started, or has no rknn-toolkit2.
            ModelError: The toolkit refuses the graph, crashed, or ran for longer than an hour.
        """
        self.path = folder / "model.rknn"
        self.placement = Placement("simulator", engine="rknn")
        self.threads = 0
        self.metadata = metadata
        self.inputs: tuple[TensorInfo, ...] = tuple(each.info for each in inputs)
        self.outputs: tuple[TensorInfo, ...] = tuple(each.info for each in outputs)
        self._log, self._lock = folder / _LOG, threading.Lock()
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [str(part) for part in command],
                    cwd=folder,
                    env=os.environ | {"CI": "true", "DO_NOT_TRACK": "1"},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                )
        except OSError as error:
            raise UnavailableError(f"{command[0]}: cannot be started ({error.strerror})") from error
        try:
            ready = self._answer(_BUILD_S)
            if "missing" in ready:
                raise UnavailableError(f"{command[0]}: has no rknn-toolkit2 ({ready['missing']})")
            self.versions: dict[str, str] = ready["versions"]
        except BaseException:
            self.close()
            raise

    def run(self, *tensors: NDArray[np.generic]) -> list[NDArray[np.floating]]:
        """Run the model once, as `Engine.run` says."""
        (image,) = tensors
        assert self._process.stdin is not None  # noqa: S101  # Popen was asked for it
        with self._lock:
            try:
                send(self._process.stdin, np.ascontiguousarray(image).tobytes())
            except (OSError, ValueError) as error:  # a pipe that is broken, or closed
                raise ModelError(self._ended()) from error
            shapes = [tuple(shape) for shape in self._answer(_RUN_S)["shapes"]]
            outputs: list[NDArray[np.floating]] = []
            for shape in shapes:
                flat = np.frombuffer(self._message(_RUN_S), np.float32)
                if flat.size != math.prod(shape):
                    raise ModelError(f"rknn: an output of {flat.size} values, expected the shape {shape}")
                outputs.append(flat.reshape(shape))
        expected = [info.shape for info in self.outputs]
        if shapes != expected:
            raise ModelError(f"rknn: the simulator returned the shapes {shapes}, expected {expected}")
        return outputs

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # an unsent rest
                    continue

    def _answer(self, limit_s: float) -> dict[str, Any]:
        """Receive JSON."""
        answer: dict[str, Any] = json.loads(self._message(limit_s))
        if "error" in answer:
            raise ModelError(f"rknn: {answer['error']}; it said: {self._said()}")
        return answer

    def _message(self, limit_s: float) -> bytes:
        assert self._process.stdout is not None  # noqa: S101  # Popen was asked for it
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        watch = threading.Timer(limit_s, stop)
        watch.start()
        try:
            return receive(self._process.stdout)
        except EOFError as error:
            if late.is_set():
                raise ModelError(f"rknn: no answer within {limit_s:g} s; stopped") from error
            raise ModelError(self._ended()) from error
        finally:
            watch.cancel()

    def _ended(self) -> str:
        return f"rknn: the toolkit ended with exit code {self._process.wait()}; it said: {self._said()}"

    def _said(self) -> str:
        """Last words of the toolkit in its log."""
        return last_words(self._log.read_text(errors="replace"))
