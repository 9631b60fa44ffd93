"""One ONNX file, loaded and ready to run, on the execution provider that was asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
import psutil
from numpy.typing import NDArray

from models.errors import ModelError, NoInputError, UnavailableError, UsageError
from models.literals import shorten
from models.spec import TensorInfo

__all__ = ["PROVIDERS", "Session"]

PROVIDERS: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
# What `auto` tries before the CPU. Providers that compile for minutes (TensorRT) or need a model converted
# for them (QNN) are for those who ask for them.
_AUTO = ("cuda", "migraphx", "coreml", "directml", "openvino")
_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}
_MAX_BYTES = 1 << 31
_FATAL_ONLY = 4


class Session:
    """A loaded model: arrays in, arrays out.

    Attributes:
        path: the file it was loaded from.
        provider: short name of the execution provider that runs it.
        metadata: the key-value pairs that the file carries.
        inputs: the graph's inputs.
        outputs: the graph's outputs.
    """

    def __init__(
        self, path: Path, *, provider: str = "auto", allow_cpu: bool = False, threads: int | None = None
    ) -> None:
        """Load a model.

        Args:
            path: an ONNX file that has its weights inside.
            provider: "auto" for the best one that works, or one of `PROVIDERS`.
            allow_cpu: run on the CPU where the provider that was asked for does not work.
            threads: CPU threads for one inference; None for one a core that this process may use.

        Raises:
            NoInputError: there is no such file.
            ModelError: the file is no ONNX model, or keeps its weights elsewhere.
            UsageError: there is no provider of this name.
            UnavailableError: the provider that was asked for does not work here.
        """
        self.path = path
        model = _read(path)
        self.provider, self._session = _open(model, path, _candidates(provider, allow_cpu), _options(threads))
        self.metadata: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.inputs = tuple(_tensor_info(node) for node in self._session.get_inputs())
        self.outputs = tuple(_tensor_info(node) for node in self._session.get_outputs())

    def run(self, *tensors: NDArray[np.generic]) -> list[NDArray[np.floating]]:
        """Run the model once.

        Args:
            tensors: the inputs in the graph's order, of the shapes and dtypes that it takes.

        Returns:
            The outputs, in the graph's order.

        Raises:
            ModelError: the graph does not run on this input.
        """
        feeds = {info.name: tensor for info, tensor in zip(self.inputs, tensors, strict=True)}
        try:
            outputs: list[NDArray[np.floating]] = self._session.run(None, feeds)
        except Exception as error:  # onnxruntime's errors have no base class of their own
            raise ModelError(f"{self.path}: inference failed: {_reason(error)}") from error
        return outputs


def _read(path: Path) -> bytes:
    if not path.exists():
        raise NoInputError(f"{path}: there is no such model file")
    if not path.is_file():
        raise ModelError(f"{path}: expected an ONNX file, got a folder or device")
    try:
        if path.stat().st_size >= _MAX_BYTES:
            raise ModelError(f"{path}: {path.stat().st_size} bytes, expected less than {_MAX_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise NoInputError(f"{path}: cannot read the model file ({error.strerror})") from error


def _candidates(provider: str, allow_cpu: bool) -> tuple[str, ...]:
    """The providers to try, in this order."""
    if provider == "auto":
        available = ort.get_available_providers()
        return (*(name for name in _AUTO if PROVIDERS[name] in available), "cpu")
    if provider not in PROVIDERS:
        raise UsageError(f"provider '{provider}': unknown, expected auto or one of {', '.join(PROVIDERS)}")
    return (provider, "cpu") if allow_cpu else (provider,)


def _options(threads: int | None) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = threads or _usable_cores()
    options.inter_op_num_threads = 1
    # Threads that wait by spinning take the cores from decoding and drawing: on two busy cores an inference
    # took 56 ms with, and 29 ms without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights in a second file would be read from wherever the model says. Nothing lies below the null device.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    return options


def _usable_cores() -> int:
    """Physical cores, as far as this process may use them: two threads on one core slow each other down."""
    physical = psutil.cpu_count(logical=False) or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return min(physical, usable)


def _open(
    model: bytes, path: Path, candidates: tuple[str, ...], options: ort.SessionOptions
) -> tuple[str, ort.InferenceSession]:
    """A session on the first provider that works, and its short name."""
    ort.set_default_logger_severity(_FATAL_ONLY)
    *preferred, last = candidates
    for name in preferred:
        try:
            return name, _create(model, path, name, options)
        except UnavailableError:
            continue  # the next one was allowed in its place, and `Session.provider` says which one it became
    return last, _create(model, path, last, options)


def _create(model: bytes, path: Path, name: str, options: ort.SessionOptions) -> ort.InferenceSession:
    available = [short for short, long in PROVIDERS.items() if long in ort.get_available_providers()]
    if name not in available:
        raise UnavailableError(
            f"provider '{name}': this onnxruntime has {', '.join(available)}; install the onnxruntime "
            f"package that brings '{name}', or leave --provider out"
        )
    try:
        session = ort.InferenceSession(model, options, providers=[PROVIDERS[name]], enable_fallback=0)
    except Exception as error:  # onnxruntime's errors have no base class of their own
        if name == "cpu":
            raise ModelError(f"{path}: {_cause(error)}") from error
        _create(model, path, "cpu", options)  # raises where the model is to blame
        raise UnavailableError(f"provider '{name}': does not run this model: {_reason(error)}") from error
    # onnxruntime leaves a provider out when its libraries do not load, and says nothing.
    if session.get_providers()[0] != PROVIDERS[name]:
        raise UnavailableError(f"provider '{name}': did not start; are its drivers and libraries installed?")
    return session


def _cause(error: Exception) -> str:
    if "external" in str(error).lower():
        return "keeps its weights in a second file, which is not read; export it as one file"
    return f"expected an ONNX model: {_reason(error)}"


def _reason(error: Exception) -> str:
    """The telling part of an error that reads "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : what happened"."""
    lines = str(error).split(" : ", 3)[-1].strip().splitlines() or [type(error).__name__]
    return shorten(lines[0], 160)


def _tensor_info(node: ort.NodeArg) -> TensorInfo:
    shape = tuple(side if isinstance(side, int) else None for side in node.shape)
    dtype = _DTYPES.get(node.type, node.type.removeprefix("tensor(").removesuffix(")"))
    return TensorInfo(node.name, shape, dtype)
