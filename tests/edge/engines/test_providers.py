"""Providers of onnxruntime that run a model, with fakes of those that are not here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnxruntime as ort
import pytest

from edgeloop.edge.engines.placement import Placement
from edgeloop.edge.engines.providers import PROVIDERS
from edgeloop.edge.engines.session import Session
from edgeloop.models.errors import UnavailableError, UsageError
from tests.meter import ModelWriter

MISSING = next(
    name
    for name in ("cuda", "coreml", "migraphx", "qnn")
    if PROVIDERS[name] not in ort.get_available_providers()
)
STRICT_ERROR = (
    "[ONNXRuntimeError] : 1 : FAIL : This session contains graph nodes that are assigned to the default CPU "
    "EP, but fallback to CPU EP has been explicitly disabled by the user."
)


@dataclass
class Node:
    op_type: str


@dataclass
class Part:
    ep_name: str
    operators: Sequence[str]

    def get_nodes(self) -> list[Node]:
        return [Node(operator) for operator in self.operators]


def fake_provider(monkeypatch: pytest.MonkeyPatch, takes: Sequence[str], leaves: Sequence[str]) -> None:
    """Give onnxruntime a CUDA that takes some kinds of node and leaves others to the CPU."""
    real = ort.InferenceSession
    cuda = PROVIDERS["cuda"]

    class Fake:
        def __init__(self, model: bytes, options: ort.SessionOptions, providers: Any, **_: Any) -> None:
            self.providers = [name for name, _ in providers]
            refusing = cuda in self.providers and leaves
            if refusing and options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1":
                raise RuntimeError(STRICT_ERROR)
            self.options = options
            self.settings = dict(providers)
            self.real = real(model, ort.SessionOptions(), providers=["CPUExecutionProvider"])

        def get_session_options(self) -> ort.SessionOptions:
            return self.options

        def get_provider_options(self) -> dict[str, dict[str, str]]:
            return self.settings

        def get_providers(self) -> list[str]:
            return self.providers

        def get_provider_graph_assignment_info(self) -> list[Part]:
            return [Part(cuda, takes), *(Part("CPUExecutionProvider", [operator]) for operator in leaves)]

        def get_modelmeta(self) -> Any:
            return self.real.get_modelmeta()

        def get_inputs(self) -> Any:
            return self.real.get_inputs()

        def get_outputs(self) -> Any:
            return self.real.get_outputs()

    monkeypatch.setattr(ort, "InferenceSession", Fake)
    monkeypatch.setattr(ort, "get_available_providers", lambda: [cuda, "CPUExecutionProvider"])


def test_auto_ends_on_a_provider_that_works(write_model: ModelWriter) -> None:
    session = Session(write_model(), provider="auto")
    assert PROVIDERS[session.placement.provider] in ort.get_available_providers()


def test_a_provider_that_is_not_there_is_an_error(write_model: ModelWriter) -> None:
    with pytest.raises(UnavailableError, match=f"provider '{MISSING}': this onnxruntime has .*cpu"):
        Session(write_model(), provider=MISSING)


def test_a_provider_that_does_not_start_is_an_error(
    write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    available = [PROVIDERS[MISSING], *ort.get_available_providers()]
    monkeypatch.setattr(ort, "get_available_providers", lambda: available)
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(UnavailableError, match=f"provider '{MISSING}': did not start"),
    ):
        Session(write_model(), provider=MISSING)


def test_the_cpu_steps_in_only_where_that_was_allowed(write_model: ModelWriter) -> None:
    assert Session(write_model(), provider=MISSING, allow_cpu=True).placement.provider == "cpu"


def test_an_unknown_provider_is_a_usage_error(write_model: ModelWriter) -> None:
    with pytest.raises(UsageError, match="provider 'abacus': unknown, expected auto or one of cpu, cuda"):
        Session(write_model(), provider="abacus")


def test_a_provider_that_takes_everything_is_proven(
    write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_provider(monkeypatch, ["Conv", "Add"], [])
    assert Session(write_model(), provider="cuda").placement == Placement("cuda", 1.0)
    assert str(Session(write_model()).placement) == "cuda, 100 % of nodes"


def test_a_provider_that_leaves_nodes_to_the_cpu_is_an_error(
    write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_provider(monkeypatch, ["Conv"] * 5, ["TopK", "NonZero", "TopK"])
    refusal = "provider 'cuda': takes 62 % of this model's nodes, not TopK, NonZero; --allow-cpu lets the CPU"
    with pytest.raises(UnavailableError, match=refusal):
        Session(write_model(), provider="cuda")


def test_allow_cpu_lets_the_cpu_run_a_part_and_says_which(
    write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_provider(monkeypatch, ["Conv"] * 5, ["TopK", "NonZero", "TopK"])
    session = Session(write_model(), provider="cuda", allow_cpu=True)
    assert session.placement == Placement("cuda", 0.625, ("TopK", "NonZero"))
    assert str(session.placement) == "cuda, 62 % of nodes, the CPU the others (TopK, NonZero)"


@pytest.mark.parametrize(
    ("taken", "expected"), [pytest.param(6, "cuda", id="most"), pytest.param(3, "cpu", id="the lesser part")]
)
def test_auto_keeps_a_provider_that_takes_most_of_the_graph(
    write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch, taken: int, expected: str
) -> None:
    fake_provider(monkeypatch, ["Conv"] * taken, ["TopK"] * 4)
    placement = Session(write_model()).placement
    assert placement.provider == expected
    assert ("takes 42 % of this model's nodes" in str(placement)) == (expected == "cpu")


def test_a_provider_that_takes_nothing_is_called_the_cpu(
    write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_provider(monkeypatch, [], ["Conv"])
    session = Session(write_model(), provider="cuda", allow_cpu=True)
    assert str(session.placement) == "cpu; provider 'cuda': takes 0 % of this model's nodes"


@pytest.mark.parametrize(
    ("leaves", "share", "said"),
    [([], 1.0, "cuda, 100 % of nodes"), (["TopK"], None, "cuda, an unknown share of nodes")],
    ids=["all", "a part"],
)
def test_an_old_onnxruntime_that_reports_nothing_is_asked_without_the_cpu(
    write_model: ModelWriter,
    monkeypatch: pytest.MonkeyPatch,
    leaves: list[str],
    share: float | None,
    said: str,
) -> None:
    fake_provider(monkeypatch, ["Conv"], leaves)
    monkeypatch.delattr(ort.InferenceSession, "get_provider_graph_assignment_info")
    placement = Session(write_model(), provider="cuda", allow_cpu=True).placement
    assert (placement.share, str(placement)) == (share, said)


def test_a_share_just_below_everything_is_not_called_everything() -> None:
    assert "99 % of nodes" in str(Placement("cuda", 0.9999, ("TopK",)))
