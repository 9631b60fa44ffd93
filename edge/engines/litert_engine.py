"""Engine LiteRT (https://ai.google.dev/edge/litert), TensorFlow Lite's successor: phones and small boards."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edgeloop.edge.engines.facts_file import read_facts
from edgeloop.edge.engines.placement import Placement
from edgeloop.edge.host.hardware import physical_cores
from edgeloop.edge.host.stderr_filter import without_lines
from edgeloop.models.errors import ModelError
from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["LitertEngine"]

_NHWC_TO_NCHW = (0, 3, 1, 2)
_IMAGE_AXES = 4
# LiteRT has no switch for it that Python reaches.
_CHATTER = re.compile(r"INFO: Created TensorFlow Lite XNNPACK delegate")


class LitertEngine:
    """Model of a `.tflite` file; attributes as in `Engine`.

    An interpreter serves one thread at a time. There are as many as the cores carry, each opened when it is
    first needed: with a lock around a single one, images at a time (`Detector(throughput=True)`) would queue.
    """

    def __init__(self, path: Path, *, provider: str = "cpu", threads: int | None = None) -> None:
        """Load a model.

        Args:
            path: The file, with its facts beside it.
            provider: "cpu".
            threads: CPU threads of one inference; None for one per physical core.

        Raises:
            NoInputError: The file does not exist.
            ModelError: The file or its facts are damaged, or contradict each other.
        """
        facts = read_facts(path, "litert")
        self.path = path
        self.metadata: Mapping[str, str] = facts.metadata
        self.inputs: tuple[TensorInfo, ...] = tuple(each.info for each in facts.inputs)
        self.outputs: tuple[TensorInfo, ...] = tuple(each.info for each in facts.outputs)
        self.threads = threads or physical_cores()
        self.placement = Placement(provider, engine="litert")
        # Read once, so that a file that is replaced meanwhile does not put two models into one engine.
        self._content = path.read_bytes()
        limit = max(physical_cores() // self.threads, 1)
        self._free: list[_Loaded | None] = [None] * (limit - 1) + [_Loaded(self, self._content)]
        self._lock, self._places = threading.Lock(), threading.Semaphore(limit)

    def run(self, *tensors: NDArray[np.generic]) -> list[NDArray[np.floating]]:
        """Run the model once, as `Engine.run` says."""
        with self._places:
            with self._lock:
                loaded = self._free.pop()
            try:
                loaded = loaded or _Loaded(self, self._content)
                return loaded.run(tensors)
            except (RuntimeError, ValueError) as error:
                raise ModelError(f"{self.path}: inference failed: {error}") from error
            finally:
                with self._lock:
                    self._free.append(loaded)

    def close(self) -> None:
        """Free the model."""
        with self._lock:
            self._free = [None] * len(self._free)


class _Loaded:
    """Interpreter with its memory; serves one thread at a time."""

    def __init__(self, engine: LitertEngine, content: bytes) -> None:
        try:
            with without_lines(_CHATTER):
                self._interpreter = Interpreter(model_content=content, num_threads=engine.threads)
                self._interpreter.allocate_tensors()
            # The signature keeps the names of the graph, whatever a tool calls the tensors behind them.
            signature = self._interpreter.get_signature_runner()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{engine.path}: LiteRT cannot read it: {error}; export it again") from error
        inputs, outputs = signature.get_input_details(), signature.get_output_details()
        self._inputs = [_index(engine.path, inputs, info, info.shape) for info in engine.inputs]
        self._outputs = [
            _index(engine.path, outputs, info, _as_stored(info.shape)) for info in engine.outputs
        ]

    def run(self, tensors: tuple[NDArray[np.generic], ...]) -> list[NDArray[np.floating]]:
        for index, tensor in zip(self._inputs, tensors, strict=True):
            self._interpreter.set_tensor(index, tensor)
        self._interpreter.invoke()
        outputs = (self._interpreter.get_tensor(index) for index in self._outputs)  # copies
        return [each.transpose(_NHWC_TO_NCHW) if each.ndim == _IMAGE_AXES else each for each in outputs]


def _as_stored(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Shape in the file of an output that `run` returns with a shape."""
    if len(shape) != _IMAGE_AXES:
        return shape
    images, channels, height, width = shape
    return images, height, width, channels


def _index(
    path: Path, details: Mapping[str, dict[str, Any]], info: TensorInfo, shape: tuple[int | None, ...]
) -> int:
    """Number of a tensor within the file; its facts must agree with the file."""
    found = details.get(info.name)
    if found is None:
        have = ", ".join(details) or "none"
        raise ModelError(
            f"{path}: has no tensor '{info.name}' that its facts name, only {have}; export again"
        )
    stored = (tuple(found["shape"].tolist()), np.dtype(found["dtype"]).name)
    if stored != (shape, info.dtype):
        raise ModelError(
            f"{path}: tensor '{info.name}' is {stored[1]} {stored[0]}, its facts say {info.dtype} {shape}; "
            "export again"
        )
    return int(found["index"])
