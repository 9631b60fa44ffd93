"""Choice between onnxruntime and OpenVINO by `--provider auto` on a CPU: measured, kept and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeloop.edge.engines.engine_protocol import Engine
from edgeloop.edge.runtime import engine_choice
from edgeloop.edge.runtime.detector import Detector
from edgeloop.models.bundle.seal import SEAL_KEY, seal
from edgeloop.models.errors import UnavailableError
from tests.calls import Outcome
from tests.dense import write_bundle
from tests.marks import needs_openvino
from tests.meter import ModelWriter

pytestmark = needs_openvino
USES = [pytest.param({"live": True}, id="camera"), pytest.param({"throughput": True}, id="footage")]


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of which nothing has been measured."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_bundle(tmp_path / "dense.onnx")


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """Sets the times of an image in onnxruntime and in OpenVINO, in milliseconds, and counts measurements."""

    def take(ours_ms: float, theirs_ms: float) -> None:
        def times(engine: Engine, other: Engine, *_: Any) -> tuple[float, float]:
            assert (engine.placement.engine, other.placement.engine) == ("onnxruntime", "openvino")
            return ours_ms / 1e3, theirs_ms / 1e3

        monkeypatch.setattr(engine_choice, "_times", times)

    return take


@pytest.mark.parametrize("use", USES)
def test_openvino_is_chosen_where_it_is_clearly_faster(
    bundle: Path, take: Callable[[float, float], None], use: dict[str, Any]
) -> None:
    take(8.1, 5.9)
    first = Detector(bundle, **use)
    told = "openvino, 100 % of nodes, 5.9 ms against 8.1 ms with onnxruntime, measured "
    assert str(first.placement) == f"{told}now"
    take(1.0, 9.0)  # not asked again
    again = Detector(bundle, **use)
    assert str(again.placement) == f"{told}in an earlier run"
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    expected = Detector(bundle, provider="cpu").detect(image)
    np.testing.assert_allclose(again.detect(image).xyxy, expected.xyxy, atol=0.05)


@pytest.mark.parametrize("use", USES)
def test_a_gain_below_five_percent_is_none(
    bundle: Path, take: Callable[[float, float], None], use: dict[str, Any]
) -> None:
    take(8.0, 7.7)
    assert str(Detector(bundle, **use).placement) == "cpu, 8.0 ms against 7.7 ms with openvino, measured now"
    again = Detector(bundle, **use)
    assert again.placement.engine == "onnxruntime"
    assert "in an earlier run" in str(again.placement)


def test_both_are_timed(bundle: Path) -> None:
    for live in (True, False):
        said = str(Detector(bundle, live=live, throughput=not live).placement)
        assert " ms against " in said
        assert said.endswith("measured now")


def test_another_answer_than_the_golden_one_rules_it_out(
    bundle: Path, take: Callable[[float, float], None]
) -> None:
    take(8.0, 1.0)
    model = onnx.load(str(bundle))
    weights = next(each for each in model.graph.initializer if each.name == "weights")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * 1.5, "weights"))
    kept = [entry for entry in model.metadata_props if entry.key != SEAL_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    bundle.write_bytes(seal(model.SerializeToString()))
    detector = Detector(bundle, live=True)
    assert detector.placement.engine == "onnxruntime"
    assert "cpu, not openvino, whose answer is off by" in str(detector.placement)


def test_where_it_does_not_run_onnxruntime_does(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UnavailableError("provider 'openvino': does not run this model")

    monkeypatch.setattr(engine_choice, "_check", refuse)
    assert "cpu, not openvino: provider" in str(Detector(bundle, live=True).placement)


@pytest.mark.parametrize(
    "settings",
    [{}, {"live": True, "provider": "cpu"}, {"throughput": True, "provider": "cpu"}],
    ids=["single images", "camera", "footage"],
)
def test_nothing_else_is_compared(bundle: Path, settings: dict[str, Any]) -> None:
    detector = Detector(bundle, **settings)
    assert (detector.placement.engine, detector.placement.compared) == ("onnxruntime", "")


def test_a_model_without_a_golden_sample_stays_in_onnxruntime(
    write_model: ModelWriter, take: Callable[[float, float], None]
) -> None:
    take(8.0, 1.0)
    assert Detector(write_model(), throughput=True).placement.engine == "onnxruntime"


def test_run_says_it(
    edgeloop: Callable[..., Outcome], bundle: Path, clip: Path, take: Callable[[float, float], None]
) -> None:
    take(8.1, 5.9)
    ran = edgeloop("run", bundle, clip)
    assert ran.code == 0
    assert "dense.onnx runs on openvino, 100 % of nodes, 5.9 ms against 8.1 ms with onnxruntime" in ran.err
