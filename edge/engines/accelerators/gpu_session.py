"""Settings of onnxruntime's CUDA and TensorRT providers, and their libraries.

https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#configuration-options
https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html#configurations
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import onnxruntime as ort

from edgeloop.edge.engines.accelerators.tensorrt_cache import EngineKey, engine_folder

__all__ = ["GPU_PROVIDERS", "captures", "fix_batch", "gpu_settings", "is_half", "without_graph"]

#: Options that make a provider capture the graph of a session and replay it, by the provider's name.
_GRAPH: Mapping[str, str] = {"cuda": "enable_cuda_graph", "tensorrt": "trt_cuda_graph_enable"}
GPU_PROVIDERS = tuple(_GRAPH)
_TENSORRT_LIBRARIES = ("libnvinfer.so.*", "libnvinfer_plugin.so.*", "libnvonnxparser.so.*")


@contextmanager
def gpu_settings(
    name: str, model: bytes, path: Path, options: ort.SessionOptions
) -> Iterator[dict[str, str]]:
    """Prepare to open a session on a GPU, within the block.

    Args:
        name: "cuda" or "tensorrt".
        model: Content of the ONNX file.
        path: Its path.
        options: Options of the session; an open batch is fixed to 1.

    Yields:
        Options of the provider.

    Raises:
        UnavailableError: The folder of the engines cannot be used.
        Exception: onnxruntime's own, if the content is no model.
    """
    _load_libraries(name)
    described = _described(model)
    settings = {_GRAPH[name]: "1"} if fix_batch(described, options) else {}
    if name == "cuda":
        yield settings
        return
    half = is_half(described)
    # TensorRT 10 computes in half precision only if it may, also a graph of that; from 11 on the types of the
    # graph decide (https://github.com/microsoft/onnxruntime/pull/28611). Others are never computed in half.
    settings |= {"trt_fp16_enable": str(int(half))}
    with engine_folder(EngineKey.of(model, half=half), path.name) as folder:
        if folder is not None:
            settings |= {
                "trt_engine_cache_enable": "1",
                "trt_engine_cache_path": str(folder),
                "trt_timing_cache_enable": "1",
                "trt_timing_cache_path": str(folder),
            }
        yield settings


def without_graph(name: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Settings of a provider without a CUDA graph, which takes no graph with nodes on another provider."""
    return {key: value for key, value in settings.items() if key != _GRAPH.get(name)}


def captures(session: ort.InferenceSession, name: str, provider: str) -> bool:
    """True if a session was opened with a CUDA graph.

    Args:
        session: The session.
        name: Short name of its provider.
        provider: onnxruntime's name of it.
    """
    set_here = session.get_provider_options().get(provider, {})
    return set_here.get(_GRAPH[name], "0") in ("1", "True", "true")


def fix_batch(described: ort.InferenceSession, options: ort.SessionOptions) -> bool:
    """Fix an open batch to 1, the only one that edgeloop runs: graphs and engines are for fixed shapes.

    Args:
        described: The model.
        options: Options of its session.

    Returns:
        True if all shapes are fixed then.
    """
    inputs, outputs = described.get_inputs(), described.get_outputs()
    batches = {node.shape[0] for node in inputs if node.shape and isinstance(node.shape[0], str)}
    for batch in batches:
        options.add_free_dimension_override_by_name(batch, 1)
    return all(
        isinstance(side, int) or side in batches for node in (*inputs, *outputs) for side in node.shape
    )


def is_half(described: ort.InferenceSession) -> bool:
    """True if a model is of half precision: a bundle that says so, or one whose inputs or outputs are."""
    tensors = [*described.get_inputs(), *described.get_outputs()]
    if any(node.type == "tensor(float16)" for node in tensors):
        return True
    with suppress(ValueError, LookupError, TypeError):
        document = json.loads(described.get_modelmeta().custom_metadata_map["edgeloop"])
        return bool(document["record"]["precision"] == "fp16")
    return False


def _described(model: bytes) -> ort.InferenceSession:
    """Open a model on the CPU, not optimized: only to read its shapes and metadata."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model, options, providers=[("CPUExecutionProvider", {})], enable_fallback=0)


@cache
def _load_libraries(name: str) -> None:
    """Load NVIDIA's libraries from the packages that pip installed, where the loader does not look.

    Those of the system serve where there is none, and a missing one is told by the session.
    """
    if hasattr(ort, "preload_dlls"):  # from 1.21 on
        with redirect_stdout(sys.stderr):  # it prints what it does not find
            ort.preload_dlls()
    found = find_spec("tensorrt_libs") if name == "tensorrt" else None
    for folder in (found and found.submodule_search_locations) or ():
        for pattern in _TENSORRT_LIBRARIES:
            for library in sorted(Path(folder).glob(pattern)):
                with suppress(OSError):
                    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
