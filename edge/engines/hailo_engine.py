"""Engine HailoRT (https://github.com/hailo-ai/hailort): Hailo's accelerators, by hailo_platform.

**Never run on a device.** It is written against the documented API of `InferModel`, and tested against a
double of it. Hailo's compiler makes the .hef file from the .onnx file of `edgeloop export --target hailo`. It
knows nothing of edgeloop: a .hef file that is opened for the first time gets its facts from the .onnx file
beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from hailo_platform import HEF, FormatType, HailoRTException, HailoSchedulingAlgorithm, VDevice
from numpy.typing import NDArray

from edgeloop.edge.engines.facts_file import EngineFacts, TensorFacts, read_facts, write_facts
from edgeloop.edge.engines.placement import Placement
from edgeloop.edge.engines.session import Session
from edgeloop.models.bundle.document import Measured, Record, read_document
from edgeloop.models.errors import ModelError, NoInputError, UnavailableError
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.facts.overrides import SpecOverrides
from edgeloop.models.facts.tensor_info import TensorInfo
from edgeloop.models.spec import ModelSpec
from edgeloop.models.weights.digest import file_sha256

__all__ = ["HailoEngine"]

_LIMIT_MS = 10_000


class HailoEngine:
    """Model of a `.hef` file; attributes as in `Engine`."""

    def __init__(self, path: Path, *, provider: str = "npu", threads: int | None = None) -> None:
        """Load a model.

        Args:
            path: The file, with its facts beside it, or the .onnx file that it was compiled from.
            provider: "npu".
            threads: Without effect: the accelerator has none.

        Raises:
            NoInputError: The file does not exist.
            ModelError: It has neither, they are damaged, or do not belong to it.
            UnavailableError: There is no device, or HailoRT refuses the file.
        """
        del threads
        if not path.is_file():
            raise NoInputError(f"{path}: there is no such model file")
        made = not facts_path(path).exists()
        facts = _facts_from_source(path) if made else read_facts(path, "hailo")
        self.path = path
        self.metadata: Mapping[str, str] = facts.metadata
        self.inputs: tuple[TensorInfo, ...] = tuple(each.info for each in facts.inputs)
        self.outputs: tuple[TensorInfo, ...] = tuple(each.info for each in facts.outputs)
        self.threads, self._lock = 0, threading.Lock()
        self.placement = Placement(provider, engine="hailo")
        try:
            params = VDevice.create_params()
            params.scheduling_algorithm = HailoSchedulingAlgorithm.ROUND_ROBIN  # activates models by itself
            self._device = VDevice(params)
        except HailoRTException as error:
            raise UnavailableError(
                f"{path}: HailoRT finds no device ({error}); try: hailortcli scan"
            ) from error
        try:
            self._open()
        except HailoRTException as error:
            self._device.release()
            raise UnavailableError(f"{path}: HailoRT refuses it ({error}); is it for this chip?") from error
        except ModelError:
            self._device.release()
            raise
        if made:
            with suppress(UnavailableError):  # in a folder that cannot be written they are made each time
                write_facts(path, facts)

    def _open(self) -> None:
        model = self._device.create_infer_model(str(self.path))
        model.set_batch_size(1)
        model.input().set_format_type(FormatType.UINT8)
        expected = self.inputs[0].shape[1:]
        if tuple(model.input().shape) != expected:
            raise ModelError(
                f"{self.path}: takes {tuple(model.input().shape)}, expected {expected} as "
                f"{_source(self.path).name} does; compile it again"
            )
        self._shapes: dict[str, tuple[int, ...]] = {}
        for name in model.output_names:
            model.output(name).set_format_type(FormatType.FLOAT32)  # HailoRT dequantizes
            self._shapes[name] = tuple(model.output(name).shape)
        self._order = self._match()
        self._configured = model.configure()
        self._runner = self._configured.__enter__()

    def _match(self) -> list[str]:
        """Names of the outputs in the order of `outputs`, by shape (H, W, C); equal ones by their origin."""
        hef, order = HEF(str(self.path)), []
        for info in self.outputs:
            _, channels, rows, columns = info.shape
            fits = [name for name, shape in self._shapes.items() if shape == (rows, columns, channels)]
            if len(fits) > 1:
                fits = [name for name in fits if info.name in hef.get_original_names_from_vstream_name(name)]
            if len(fits) != 1:
                raise ModelError(
                    f"{self.path}: expected one output {info} as {(rows, columns, channels)}, got "
                    f"{self._shapes}; compile it from {_source(self.path).name}, with all of its outputs"
                )
            order += fits
        return order

    def run(self, *tensors: NDArray[np.generic]) -> list[NDArray[np.floating]]:
        """Run the model once, as `Engine.run` says."""
        buffers = {name: np.empty(shape, np.float32) for name, shape in self._shapes.items()}
        try:
            with self._lock:
                bindings = self._runner.create_bindings(output_buffers=buffers)
                bindings.input().set_buffer(np.ascontiguousarray(tensors[0][0]))
                self._runner.run([bindings], _LIMIT_MS)
        except HailoRTException as error:  # a timeout is one, too
            raise ModelError(f"{self.path}: inference failed: {error}") from error
        return [np.ascontiguousarray(buffers[name].transpose(2, 0, 1)[None]) for name in self._order]

    def close(self) -> None:
        """Free the model and the device."""
        self._configured.__exit__(None, None, None)
        self._device.release()


def _source(path: Path) -> Path:
    return path.with_suffix(".onnx")


def _facts_from_source(path: Path) -> EngineFacts:
    """Facts from the .onnx file, with the input as the compiled file takes it."""
    source = _source(path)
    if not source.is_file():
        raise ModelError(
            f"{path}: expected {facts_path(path).name} or {source.name}, which it was compiled from, beside "
            "it; copy both files"
        )
    session = Session(source, provider="cpu", threads=1)
    session.close()
    try:
        spec = ModelSpec.from_metadata(session.metadata, session.inputs, session.outputs, SpecOverrides())
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from error
    if spec.head != "raw":
        raise ModelError(f"{source}: head '{spec.head}', expected 'raw'; export it with --target hailo")
    document = read_document(session.metadata)
    record = document.record if document else Record()
    # The compiler quantizes, and nobody measured what it made.
    record = record.model_copy(update={"precision": "int8", "measured": Measured()})
    width, height = spec.input_size
    spec = spec.model_copy(update={"layout": "NHWC", "dtype": "uint8", "scale": 1.0})
    return EngineFacts(
        engine="hailo",
        sha256=file_sha256(path),
        metadata=spec.to_metadata(record),
        inputs=(TensorFacts(name=session.inputs[0].name, shape=(1, height, width, 3), dtype="uint8"),),
        outputs=tuple(
            TensorFacts(name=each.name, shape=tuple(side or 1 for side in each.shape), dtype="float32")
            for each in session.outputs
        ),
    )
