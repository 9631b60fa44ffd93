"""Ring of a service: its figures, its cameras, and the model that answered."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgeloop.edge.frame import Frame
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.result import Result, Sink, Timings
from edgeloop.edge.ring.ring_database import read_ring
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.service.board import Board, CameraState, ModelState
from edgeloop.edge.service.ring_part import RingPart
from edgeloop.edge.service.service_config import ModelConfig, ServiceConfig
from edgeloop.edge.service.worker.model_worker import ModelWorker
from edgeloop.edge.sources.iterable import ImageIterable
from tests.blocks import draw_block
from tests.edge.service.page.page_service import config_of, running
from tests.faulty_models import write_faulty_model
from tests.small_disk import small_disk
from tests.waiting import until


@contextmanager
def opened(model: Path, config: ServiceConfig) -> Iterator[tuple[RingPart, ModelWorker, Board]]:
    """The part with a model, without a loop."""
    board = Board("device")
    board.models["block"] = ModelState("block")
    worker = ModelWorker(ModelConfig(threads=1), model, board.models["block"])
    worker.start()
    with closing(worker), closing(RingPart({"block": worker}, config, board)) as part:
        yield part, worker, board


def camera(name: str) -> CameraState:
    source = ImageIterable([])
    source.name = name
    return CameraState(name, "block", Stream(source, Meter(["block"])))


def show(sink: Sink, worker: ModelWorker, frames: range) -> None:
    """Let the model answer on frames that are a second apart."""
    for index in frames:
        frame = Frame(draw_block(index % 40), index, 0.0, 0.0, "belt", float(index))
        found, _ = worker.detect_timed(frame.image)
        sink.write(Result(frame, found, Timings(0.0, {})))


@pytest.mark.slow
def test_a_service_keeps_frames_of_the_cameras_that_may_be_kept(block_model: Path, tmp_path: Path) -> None:
    config = config_of(block_model, tmp_path, "belt", "door", ring={"megabytes": 10})
    cameras = {**config.cameras, "door": config.cameras["door"].model_copy(update={"ring": False})}
    with running(config.model_copy(update={"cameras": cameras})) as service:
        until(lambda: service.board.parts.get("ring", {}).get("random_saved", 0) >= 2)
        figures = service.board.figures()["ring"]
        assert (figures["dropped"], figures["random_threshold"], figures["budget_bytes"]) == (0, 1.0, 1e7)
        digest = service.board.models["block"].digest
    kept = read_ring(tmp_path / "state" / "ring")
    assert {entry.frame.source for entry in kept.entries} == {"belt"}
    assert {entry.model for entry in kept.entries} == {digest}
    assert all(entry.frame.wall_time for entry in kept.entries)


@pytest.mark.slow
def test_a_swap_of_the_model_shows_in_later_rows(block_model: Path, tmp_path: Path) -> None:
    other = write_faulty_model(tmp_path / "other.onnx", "nan", "{0: 'box', 1: 'block'}")
    model, spec = onnx.load(other), Detector(other, provider="cpu").spec
    onnx.helper.set_model_props(model, spec.model_copy(update={"confidence": 0.8}).to_metadata())
    onnx.save(model, other)
    config = config_of(block_model, tmp_path, "belt", ring={})
    with opened(block_model, config) as (part, worker, board):
        (sink,) = part.sinks(camera("belt"))
        before = board.models["block"].digest
        show(sink, worker, range(5))
        worker.swap(other)
        after = board.models["block"].digest
        show(sink, worker, range(5, 10))
        sink.close()
    kept = read_ring(tmp_path / "state" / "ring")
    drawn = [entry for entry in kept.entries if entry.share == "random"]
    assert [entry.model for entry in drawn] == [before] * 5 + [after] * 5
    names = [[kept.models[entry.model].names[each] for each in entry.detections.class_id] for entry in drawn]
    assert names == [["block"]] * 5 + [["box"]] * 5
    near = [entry.doubt for entry in drawn]  # of a score of 0.9
    assert near == pytest.approx([1 - (0.9 - 0.25) / (1 - 0.25)] * 5 + [1 - (0.9 - 0.8) / (1 - 0.8)] * 5)


@pytest.mark.slow
def test_a_disk_that_is_full_at_the_start_costs_the_cameras_nothing(
    block_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "edgeloop.edge.ring")
    with small_disk(tmp_path / "disk") as disk:
        (disk / "ballast").write_bytes(bytes(3_300_000))
        sections: dict[str, Any] = {"ring": {"folder": disk / "ring"}, "health": {"free_mb": 1.0}}
        with opened(block_model, config_of(block_model, tmp_path, "belt", **sections)) as (
            part,
            worker,
            board,
        ):
            (sink,) = part.sinks(camera("belt"))
            show(sink, worker, range(4))
            until(lambda: board.figures().get("ring", {}).get("dropped", 0) >= 2)
            (disk / "ballast").unlink()
            show(sink, worker, range(4, 8))
            until(lambda: board.figures()["ring"]["random_saved"] >= 1)
            sink.close()
    assert [record.__dict__["event"] for record in caplog.records][:1] == ["ring-lost"]
