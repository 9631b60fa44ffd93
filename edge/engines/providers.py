"""Sessions on execution providers, with a check of which nodes run where.

onnxruntime falls back silently: unsupported nodes run on the CPU, and a provider whose libraries do not load
is left out. So each session is asked for the provider of every node: 0.5 ms for a graph of 368 nodes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from edgeloop.edge.engines.accelerators.gpu_session import GPU_PROVIDERS, gpu_settings, without_graph
from edgeloop.edge.engines.accelerators.qnn_plugin import has_plugin, is_emulated, open_on_plugin
from edgeloop.edge.engines.placement import Placement, percent
from edgeloop.models.errors import ModelError, UnavailableError, UsageError
from edgeloop.models.facts.metadata_text import shorten

__all__ = ["PROVIDERS", "first_line", "open_session"]

PROVIDERS: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
# Tried by `auto` before the CPU. TensorRT compiles for minutes and QNN needs a converted model: on request.
_AUTO = ("cuda", "migraphx", "coreml")
# `auto` skips a provider with a smaller share of nodes: a graph in pieces spends its time copying tensors.
_AUTO_SHARE = 0.5
_REPORT = "session.record_ep_graph_assignment_info"
_NO_CPU = "session.disable_cpu_ep_fallback"
_WEIGHTS_IN = "session.model_external_initializers_file_folder_path"
_NEEDS_CPU = "fallback to CPU EP"
_NO_GRAPH = "graph capture"  # in the refusal of a CUDA graph


def open_session(
    model: bytes,
    path: Path,
    options: ort.SessionOptions,
    *,
    provider: str,
    allow_cpu: bool,
    plain: bool = False,
) -> tuple[ort.InferenceSession, Placement]:
    """Open a session and check where its nodes run.

    Args:
        model: Content of the ONNX file.
        path: Its path, for errors.
        options: Session options.
        provider: "auto" for the first one that runs more than half of the nodes, or one of `PROVIDERS`,
            which has to run all of them.
        allow_cpu: Let the CPU run the nodes that the provider does not support, even all of them.
        plain: Open it for `InferenceSession.run`: without a CUDA graph, which needs bound buffers.

    Returns:
        The session and its placement.

    Raises:
        ModelError: The content is no ONNX model.
        UsageError: The provider is unknown.
        UnavailableError: The provider does not work here, or does not support the whole model.
    """
    ort.set_default_logger_severity(options.log_severity_level)
    if provider != "auto" and provider not in PROVIDERS:
        raise UsageError(f"provider '{provider}': unknown, expected auto or one of {', '.join(PROVIDERS)}")
    names = [name for name in _AUTO if _is_here(name)] if provider == "auto" else [provider]
    partly = provider == "auto" or allow_cpu
    enough = _AUTO_SHARE if provider == "auto" else 0.0
    refused = ""
    for name in names:
        try:
            session, placement = _open(model, path, options, name, partly=partly, plain=plain)
        except UnavailableError as error:
            if not partly:
                raise
            refused = refused or str(error)
            continue
        if placement.share is None or placement.share > enough:
            return session, placement
        refused = refused or f"provider '{name}': takes {percent(placement.share)} of this model's nodes"
    session, _ = _open(model, path, options, "cpu", partly=True)
    return session, Placement("cpu", refused=refused)


def first_line(error: Exception) -> str:
    """Extract the message of "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : message", one line, shortened."""
    lines = str(error).split(" : ", 3)[-1].strip().splitlines() or [type(error).__name__]
    return shorten(lines[0], 160)


def _open(
    model: bytes, path: Path, options: ort.SessionOptions, name: str, *, partly: bool, plain: bool = False
) -> tuple[ort.InferenceSession, Placement]:
    """Open a session on one provider, which may run the graph `partly` or has to run all of it."""
    if not _is_here(name):
        there = ", ".join(short for short in PROVIDERS if _is_here(short))
        raise UnavailableError(
            f"provider '{name}': this onnxruntime has {there}; install the onnxruntime package that brings "
            f"'{name}', or leave the provider out"
        )
    try:
        session = _session(model, path, options, name, plain=plain)
    except UnavailableError:
        raise
    except Exception as error:  # onnxruntime's errors have no base class of their own
        if name == "cpu":
            raise ModelError(f"{path}: {_cause(error)}") from error
        _open(model, path, options, "cpu", partly=True)  # raises if the model is at fault
        raise UnavailableError(f"provider '{name}': does not run this model: {first_line(error)}") from error
    # onnxruntime silently leaves out a provider whose device or libraries are missing.
    if session.get_providers()[0] != PROVIDERS[name]:
        raise UnavailableError(
            f"provider '{name}': did not start; are its device, drivers and libraries there?"
        )
    placement = _placement(session, name)
    if not partly and placement.share != 1:
        raise UnavailableError(
            f"provider '{name}': {placement.shortfall}; --allow-cpu lets the CPU run the rest"
        )
    return session, placement


def _session(
    model: bytes, path: Path, options: ort.SessionOptions, name: str, *, plain: bool
) -> ort.InferenceSession:
    """Open a session on one provider, with the CPU only if it needs it."""
    options.add_session_config_entry(_REPORT, "1")
    if _is_plugin(name):
        # All of the model or nothing: it lists itself as the provider even if the CPU runs everything.
        return open_on_plugin(model, {_REPORT: "1", _NO_CPU: "1", _WEIGHTS_IN: os.devnull})
    if name not in GPU_PROVIDERS:
        return _strictly_first(model, options, name, {})
    with gpu_settings(name, model, path, options) as settings:
        return _strictly_first(model, options, name, without_graph(name, settings) if plain else settings)


def _strictly_first(
    model: bytes, options: ort.SessionOptions, name: str, settings: Mapping[str, str]
) -> ort.InferenceSession:
    """Open a session without the CPU, or with it if it has to run some of the nodes."""
    options.add_session_config_entry(_NO_CPU, "0" if name == "cpu" else "1")
    try:
        # Tried first in any case: some providers fall back silently to a CPU implementation of their own.
        return _create(model, options, name, settings)
    except Exception as error:  # onnxruntime's errors have no base class of their own
        no_graph = without_graph(name, settings)
        if _NO_GRAPH in str(error) and no_graph != settings:
            return _strictly_first(model, options, name, no_graph)
        if name == "cpu" or _NEEDS_CPU not in str(error):
            raise
    options.add_session_config_entry(_NO_CPU, "0")
    return _create(model, options, name, no_graph)


def _create(
    model: bytes, options: ort.SessionOptions, name: str, settings: Mapping[str, str]
) -> ort.InferenceSession:
    providers = [(PROVIDERS[name], dict(settings))]
    return ort.InferenceSession(model, options, providers=providers, enable_fallback=0)


def _is_here(name: str) -> bool:
    return PROVIDERS[name] in ort.get_available_providers() or _is_plugin(name)


def _is_plugin(name: str) -> bool:
    return name == "qnn" and has_plugin()


def _placement(session: ort.InferenceSession, name: str) -> Placement:
    if name == "cpu":
        return Placement(name)
    if not hasattr(session, "get_provider_graph_assignment_info"):
        strict = session.get_session_options().get_session_config_entry(_NO_CPU) == "1"
        return Placement(name, 1.0 if strict else None)
    nodes = [
        (part.ep_name == PROVIDERS[name], node.op_type)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]
    others = Counter(operator for ours, operator in nodes if not ours)
    share = 1 - others.total() / len(nodes) if nodes else 1.0
    operators = tuple(operator for operator, _ in others.most_common())
    if _is_plugin(name) and is_emulated():
        return Placement("simulator", share, operators, engine=name)
    return Placement(name, share, operators)


def _cause(error: Exception) -> str:
    if "external" in str(error).lower():
        return "keeps its weights in a second file, which is not read; export it as one file"
    return f"expected an ONNX model: {first_line(error)}"
