"""Drift of a camera of the service: on the board, the page, in metrics and log, and no fault of readiness."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from edgeloop.edge.drift import drift_watch
from edgeloop.edge.drift.learn_statistics import learn_statistics
from edgeloop.edge.runtime.detector import Detector
from edgeloop.models.bundle.document import Record
from tests.blocks import draw_block
from tests.edge.service.page.page_service import Running, config_of, running
from tests.waiting import until


@pytest.fixture
def watching(block_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A service whose model knows frames of the block, and looks at every frame."""
    monkeypatch.setattr(drift_watch, "LOOK_S", 0.0)
    frames = [draw_block(index) for index in range(50)]
    known = learn_statistics(frames[::2], frames[1::2])
    bundle, model = tmp_path / "bundle.onnx", onnx.load(str(block_model))
    onnx.helper.set_model_props(model, Detector(block_model).spec.to_metadata(Record(frames=known)))
    onnx.save(model, str(bundle))
    with running(config_of(bundle, tmp_path, "belt")) as service:
        yield service


def test_drift_is_told_and_the_service_stays_ready(
    watching: Running, caplog: pytest.LogCaptureFixture
) -> None:
    until(lambda: watching.board.cameras["belt"].drift == "ok")
    with caplog.at_level(logging.WARNING):
        watching.cameras["belt"].noise.set()
        until(lambda: watching.board.cameras["belt"].drift not in ("", "ok"))
        kind = watching.board.cameras["belt"].drift
        shown = watching.api("GET", "status")["cameras"][0]
        assert (shown["drift"], bool(shown["drift_reason"])) == (kind, True)
        metrics = watching.ask("GET", "metrics")[2].decode()
        assert f'edgeloop_camera_drift{{camera="belt",kind="{kind}"}} 1.0' in metrics
        assert 'edgeloop_camera_drift{camera="belt",kind="ok"} 0.0' in metrics
        assert watching.ask("GET", "readyz")[0] == 200
        watching.cameras["belt"].noise.clear()
        until(lambda: watching.board.cameras["belt"].drift == "ok")
    said = [record.__dict__.get("event") for record in caplog.records if "drift" in record.getMessage()]
    assert said == ["camera-drift", "camera-drift-over"]
