"""Execution providers that really run a graph, and the proof of it.

onnxruntime never says no: what a provider does not take runs on the CPU, and a provider whose libraries do
not load is left out, both without a word. So each session is asked where it put every node. That report costs
half a millisecond for a graph of 368 nodes, and needs no inference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from edgeloop.models.errors import ModelError, UnavailableError, UsageError
from edgeloop.models.facts.metadata_text import shorten

__all__ = ["PROVIDERS", "Placement", "first_line", "open_session"]

PROVIDERS: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "openvino-gpu": "OpenVINOExecutionProvider",
    "openvino-npu": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
# OpenVINO is one provider for three kinds of device, and left to itself it takes the CPU.
_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "openvino": {"device_type": "CPU"},
    "openvino-gpu": {"device_type": "GPU"},
    "openvino-npu": {"device_type": "NPU"},
}
# What `auto` tries before the CPU. Providers that compile for minutes (TensorRT) or need a model converted
# for them (QNN) are for those who ask for them.
_AUTO = ("cuda", "migraphx", "coreml", "directml", "openvino")
# Below this share `auto` goes on: a graph in pieces spends its time carrying tensors between them.
_AUTO_SHARE = 0.5
_REPORT = "session.record_ep_graph_assignment_info"
_NO_CPU = "session.disable_cpu_ep_fallback"
_NEEDS_CPU = "fallback to CPU EP"
_OPERATORS_SHOWN = 4


@dataclass(frozen=True)
class Placement:
    """Where a graph runs.

    Attributes:
        provider: short name of the execution provider that runs it.
        share: part of the graph's nodes that run on it, 0 to 1, the others on the CPU; None where this
            onnxruntime (before 1.24) cannot tell.
        operators: the kinds of node that the CPU runs in its place.
        refused: why a provider that came first does not run it; "" where none did.
    """

    provider: str
    share: float | None = 1.0
    operators: tuple[str, ...] = ()
    refused: str = ""

    def __str__(self) -> str:
        rest = f", the CPU the others ({_some(self.operators)})" if self.operators else ""
        share = "an unknown share" if self.share is None else _percent(self.share)
        nodes = "" if self.provider == "cpu" else f", {share} of nodes{rest}"
        return f"{self.provider}{nodes}{f'; {self.refused}' if self.refused else ''}"


def open_session(
    model: bytes, path: Path, options: ort.SessionOptions, *, provider: str, allow_cpu: bool
) -> tuple[ort.InferenceSession, Placement]:
    """Open a session and prove where it runs.

    Args:
        model: the ONNX file.
        path: where it was read from, for errors.
        options: of the session.
        provider: "auto" for the first one that takes more than half of the graph, or one of `PROVIDERS`,
            which has to take all of it.
        allow_cpu: let the CPU run what the provider does not take, be it everything.

    Returns:
        The session, and its placement.

    Raises:
        ModelError: this is no ONNX model.
        UsageError: there is no provider of this name.
        UnavailableError: the provider does not run here, or not all of this model.
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
            session, placement = _open(model, path, options, name, partly=partly)
        except UnavailableError as error:
            if not partly:
                raise
            refused = refused or str(error)
            continue
        if placement.share is None or placement.share > enough:
            return session, placement
        refused = refused or f"provider '{name}': takes {_percent(placement.share)} of this model's nodes"
    session, _ = _open(model, path, options, "cpu", partly=True)
    return session, Placement("cpu", refused=refused)


def first_line(error: Exception) -> str:
    """The telling part of an error that reads "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : what happened".

    Args:
        error: from onnxruntime.

    Returns:
        One line, shortened.
    """
    lines = str(error).split(" : ", 3)[-1].strip().splitlines() or [type(error).__name__]
    return shorten(lines[0], 160)


def _open(
    model: bytes, path: Path, options: ort.SessionOptions, name: str, *, partly: bool
) -> tuple[ort.InferenceSession, Placement]:
    """A session on one provider, which may run the graph `partly` or has to run all of it."""
    if not _is_here(name):
        there = ", ".join(short for short in PROVIDERS if _is_here(short))
        raise UnavailableError(
            f"provider '{name}': this onnxruntime has {there}; install the onnxruntime package that brings "
            f"'{name}', or leave --provider out"
        )
    try:
        session = _session(model, options, name)
    except Exception as error:  # onnxruntime's errors have no base class of their own
        if name == "cpu":
            raise ModelError(f"{path}: {_cause(error)}") from error
        _open(model, path, options, "cpu", partly=True)  # raises where the model is to blame
        raise UnavailableError(f"provider '{name}': does not run this model: {first_line(error)}") from error
    # onnxruntime leaves a provider out when its device or libraries are missing, and says nothing.
    if session.get_providers()[0] != PROVIDERS[name]:
        raise UnavailableError(
            f"provider '{name}': did not start; are its device, drivers and libraries there?"
        )
    placement = _placement(session, name)
    if not partly and placement.share != 1:
        raise UnavailableError(_in_part(name, placement))
    return session, placement


def _session(model: bytes, options: ort.SessionOptions, name: str) -> ort.InferenceSession:
    """A session on one provider without the CPU, or where it needs the CPU, with it."""
    options.add_session_config_entry(_REPORT, "1")
    settings = {"providers": [(PROVIDERS[name], dict(_SETTINGS.get(name, {})))], "enable_fallback": 0}
    if name != "cpu":
        # In any case first: some providers have a CPU of their own to fall back to, and do so in silence.
        options.add_session_config_entry(_NO_CPU, "1")
        try:
            return ort.InferenceSession(model, options, **settings)
        except Exception as error:  # onnxruntime's errors have no base class of their own
            if _NEEDS_CPU not in str(error):
                raise
    options.add_session_config_entry(_NO_CPU, "0")
    return ort.InferenceSession(model, options, **settings)


def _is_here(name: str) -> bool:
    return PROVIDERS[name] in ort.get_available_providers()


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
    return Placement(name, share, tuple(operator for operator, _ in others.most_common()))


def _in_part(name: str, placement: Placement) -> str:
    if placement.share is None:
        taken = "does not take all of this model"
    else:
        taken = f"takes {_percent(placement.share)} of this model's nodes, not {_some(placement.operators)}"
    return f"provider '{name}': {taken}; --allow-cpu lets the CPU run the rest"


def _some(operators: tuple[str, ...]) -> str:
    more = len(operators) - _OPERATORS_SHOWN
    return ", ".join(operators[:_OPERATORS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _percent(share: float) -> str:
    """Rounded towards 0: 100 % means all."""
    return f"{int(share * 100)} %"


def _cause(error: Exception) -> str:
    if "external" in str(error).lower():
        return "keeps its weights in a second file, which is not read; export it as one file"
    return f"expected an ONNX model: {first_line(error)}"
