"""Engine OpenVINO (https://github.com/openvinotoolkit/openvino): ONNX on Intel's CPUs, GPUs and NPUs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from queue import LifoQueue
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.engines.onnx_file import read_onnx, with_image_size
from edgeloop.edge.engines.placement import Placement
from edgeloop.edge.engines.session import Session
from edgeloop.edge.host.hardware import physical_cores
from edgeloop.edge.host.malloc import return_freed_memory
from edgeloop.models.bundle.onnx_content import has_external_weights
from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.facts.metadata_text import shorten
from edgeloop.models.facts.tensor_info import TensorInfo
from edgeloop.models.weights.cache import cache_folder

# Importing openvino reports that over the network; without this package of its maker it does not.
sys.modules.setdefault("openvino_telemetry", cast("ModuleType", None))
import openvino as ov  # noqa: E402

__all__ = ["OpenVinoEngine"]

_DEVICES = {"openvino": "CPU", "openvino-gpu": "GPU", "openvino-npu": "NPU"}
_PRECISION = "INFERENCE_PRECISION_HINT"
_SINK = "/sink_port_0"
_PLACES = ("Exception from", "Check '", "FrontEnd API failed", "Summary:")


class OpenVinoEngine:
    """Model of an ONNX file; attributes as in `Engine`."""

    def __init__(
        self,
        path: Path,
        *,
        provider: str = "openvino",
        allow_cpu: bool = False,
        threads: int | None = None,
        parallel: int = 1,
        bare: bool = False,
    ) -> None:
        """Load a model.

        Args:
            path: ONNX file.
            provider: "openvino" for the CPU, "openvino-gpu" or "openvino-npu".
            allow_cpu: Let the CPU run the layers that the GPU or NPU does not support.
            threads: CPU threads of one inference; None for one per physical core.
            parallel: Inferences at a time; above 1, each has a stream of its own.
            bare: Keep OpenVINO's default settings except for the precision and `threads`; the baseline of
                `bench`.

        Raises:
            NoInputError: The file does not exist.
            ModelError: The file is no ONNX model, has external weights, or was changed after export.
            UnavailableError: The device is not there, or does not support the whole model.
        """
        self.path = path
        content = read_onnx(path)
        try:
            external = has_external_weights(content)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if external:
            raise ModelError(
                f"{path}: keeps its weights in a second file, which is not read; export it as one file"
            )
        settings = _bare(provider, threads) if bare else _settings(provider, threads, parallel)
        try:
            model = _core().read_model(content)
            device, self.placement = _place(model, provider, allow_cpu=allow_cpu)
            self._compiled = _core().compile_model(model, device, settings)
        except RuntimeError as error:
            Session(path, provider="cpu").close()  # raises if the model is at fault
            said = _said(error)
            raise UnavailableError(f"provider '{provider}': does not run this model: {said}") from error
        _check_precision(self._compiled, provider)
        self.metadata: Mapping[str, str] = _metadata(model, path)
        self.inputs = tuple(_tensor_info(port) for port in model.inputs)
        self.outputs = tuple(_tensor_info(port) for port in model.outputs)
        requests = max(parallel, self._property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        on_cpu = device == "CPU"
        streams = self._property("NUM_STREAMS") if on_cpu else 1
        self.threads = self._property("INFERENCE_NUM_THREADS") // max(streams, 1) if on_cpu else 0
        self._idle: LifoQueue[_Request] = LifoQueue()
        for _ in range(requests):
            self._idle.put(_Request(self._compiled.create_infer_request(), len(self.inputs)))
        del model, content
        return_freed_memory()

    def run(self, *tensors: NDArray[np.generic]) -> list[NDArray[np.floating]]:
        """Run the model once, as `Engine.run` says; an image size may be left out, as with `Session`."""
        given = with_image_size(tensors, self.inputs)
        request = self._idle.get()
        try:
            return request.run(given)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ModelError(f"{self.path}: inference failed: {_said(error)}") from error
        finally:
            self._idle.put(request)

    def close(self) -> None:
        """Free the model."""
        del self._compiled, self._idle
        return_freed_memory()

    def _property(self, name: str) -> int:
        return int(self._compiled.get_property(name))


class _Request:
    """Inference request that reads its inputs where they are: a caller's buffer is set once."""

    def __init__(self, request: Any, inputs: int) -> None:
        self._request = request
        self._given: list[NDArray[np.generic] | None] = [None] * inputs

    def run(self, tensors: Sequence[NDArray[np.generic]]) -> list[NDArray[np.floating]]:
        for index, (tensor, given) in enumerate(zip(tensors, self._given, strict=True)):
            if tensor is not given:
                self._given[index] = None
                shared = tensor if tensor.flags.c_contiguous else np.ascontiguousarray(tensor)
                self._request.set_input_tensor(index, ov.Tensor(shared, shared_memory=True))
                self._given[index] = tensor if shared is tensor else None
        self._request.start_async()
        self._request.wait()
        return [tensor.data.copy() for tensor in self._request.output_tensors]


@cache
def _core() -> Any:
    return ov.Core()


def _precision(provider: str) -> dict[str, Any]:
    # Left alone, OpenVINO computes in bfloat16 where the CPU has it, as far off as int8; NPUs lack float32.
    return {} if provider == "openvino-npu" else {_PRECISION: "f32"}


def _bare(provider: str, threads: int | None) -> dict[str, Any]:
    on_cpu = provider == "openvino" and threads is not None
    return _precision(provider) | ({"INFERENCE_NUM_THREADS": threads} if on_cpu else {})


def _settings(provider: str, threads: int | None, parallel: int) -> dict[str, Any]:
    """Settings of a model: latency of one image, or rate of several in streams of their own."""
    hint = "THROUGHPUT" if parallel > 1 else "LATENCY"
    settings = {**_precision(provider), "PERFORMANCE_HINT": hint}
    if provider == "openvino":
        each = threads or max(physical_cores() // parallel, 1)
        # Pinned threads wait for a core that decoding or drawing has, while another is free.
        return settings | {
            "NUM_STREAMS": parallel,
            "INFERENCE_NUM_THREADS": each * parallel,
            "ENABLE_CPU_PINNING": False,
        }
    try:
        # GPUs and NPUs compile for seconds to minutes.
        return settings | {"CACHE_DIR": str(cache_folder() / "openvino")}
    except RuntimeError:  # no home folder
        return settings


def _place(model: Any, provider: str, *, allow_cpu: bool) -> tuple[str, Placement]:
    """Device to compile for, and the share of the model that runs there."""
    device = _DEVICES[provider]
    here = [name.partition(".")[0] for name in _core().available_devices]
    if device not in here:
        raise UnavailableError(
            f"provider '{provider}': did not start: OpenVINO finds {', '.join(here) or 'no device'} here; "
            "are its device and drivers there?"
        )
    if device == "CPU":
        return device, Placement(provider, 1.0, engine="openvino")
    taken = _core().query_model(model, device)
    layers = [(layer.friendly_name in taken, layer.get_type_name()) for layer in model.get_ordered_ops()]
    others = Counter(kind for ours, kind in layers if not ours)
    placement = Placement(
        provider,
        1 - others.total() / len(layers),
        tuple(kind for kind, _ in others.most_common()),
        engine="openvino",
    )
    if others and not allow_cpu:
        raise UnavailableError(
            f"provider '{provider}': {placement.shortfall}; --allow-cpu lets the CPU run the rest"
        )
    return f"HETERO:{device},CPU" if others else device, placement


def _check_precision(compiled: Any, provider: str) -> None:
    """Check that a hint of float32 was taken."""
    if not _precision(provider):
        return
    got = compiled.get_property(_PRECISION).get_type_name()
    if got != "f32":
        raise UnavailableError(f"provider '{provider}': computes in {got}, expected f32")


def _metadata(model: Any, path: Path) -> dict[str, str]:
    """Metadata of the ONNX file."""
    try:
        entries = model.get_rt_info(["framework"]).value if model.has_rt_info(["framework"]) else {}
        return {name: str(text) for name, text in entries.items()}
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: its metadata is no text ({error.reason}); the file is damaged") from error


def _tensor_info(port: Any) -> TensorInfo:
    name = port.node.friendly_name.removesuffix(_SINK)
    shape = tuple(side.get_length() if side.is_static else None for side in port.partial_shape)
    return TensorInfo(name if name in port.names else port.any_name, shape, port.element_type.to_dtype().name)


def _said(error: Exception) -> str:
    """Extract the message from the places in OpenVINO's source that it went through, one line, shortened."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(_PLACES)]
    return shorten(" ".join(told[:2]) or type(error).__name__, 160)
