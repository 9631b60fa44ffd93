"""Uncertain frames are kept for labeling, in time and within bounds."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.frames.folder import FrameWriter, read_frames
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.sinks import UncertainFrames
from edgeloop.edge.sources import open_source
from edgeloop.models.detections import Detections
from tests.blocks import draw_block
from tests.calls import edgeloop

THRESHOLD = 0.4
SURE, UNSURE = 0.9, 0.5


def found(*boxes: tuple[float, float], class_id: int = 0) -> Detections:
    """Detections of 20x20 px, each given as (left edge, confidence)."""
    xyxy = np.array([[left, 10, left + 20, 30] for left, _ in boxes], np.float32).reshape(-1, 4)
    confidence = np.array([confidence for _, confidence in boxes], np.float32)
    return Detections(xyxy, confidence, np.full(len(boxes), class_id, np.int64))


NOTHING = found()


def kept(
    folder: Path, source: Source, frames: Sequence[Detections], *, every_s: float = 1.0, most: int = 99
) -> list[int]:
    """Run results through the sink, 10 a second; which frames it kept."""
    with (
        FrameWriter(folder) as writer,
        closing(
            UncertainFrames(writer, source, threshold=THRESHOLD, every_s=every_s, max_frames=most)
        ) as sink,
    ):
        for index, detections in enumerate(frames):
            frame = Frame(draw_block(index % 40), index, index / 10, 1700000000.0, source.name)
            sink.write(Result(frame, detections, Timings(1.0, {"infer": 1.0})))
    return [entry.index for entry in read_frames(folder)] if folder.exists() else []


@pytest.fixture
def footage() -> Source:
    return open_source("synth:conveyor?fps=10&frames=1&size=320x240")


def test_of_every_few_seconds_the_least_certain_frame(footage: Source, tmp_path: Path) -> None:
    confidences = [SURE] * 30
    confidences[3], confidences[7], confidences[15] = 0.55, 0.45, 0.6
    frames = [found((0, confidence)) for confidence in confidences]
    assert kept(tmp_path / "frames", footage, frames) == [7, 15]


def test_nothing_is_kept_of_a_sure_run(footage: Source, tmp_path: Path) -> None:
    assert kept(tmp_path / "frames", footage, [found((0, SURE))] * 20) == []
    assert not (tmp_path / "frames").exists()


def test_the_folder_is_bounded(footage: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = [found((0, UNSURE))] * 50
    assert len(kept(tmp_path / "frames", footage, frames, most=2)) == 2
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'frames'}: holds 2 frames now and takes no more"
    ]


def test_images_without_times_are_each_their_own(tmp_path: Path) -> None:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), draw_block(index))
    with open_source(str(tmp_path)) as folder:
        frames = [found((0, UNSURE)), NOTHING, found((0, UNSURE))]
        assert kept(tmp_path / "frames", folder, frames) == [0, 2]
    assert {entry.time_s for entry in read_frames(tmp_path / "frames")} == {None}


@pytest.mark.slow
def test_a_run_keeps_the_frame_of_which_the_model_is_unsure(block_model: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for index in range(20):
        block = draw_block(5)
        writer.write(block if index == 12 else np.zeros_like(block))
    writer.release()
    # The model is sure of each block by 0.9, which this minimum makes doubtful.
    command = ("run", block_model, clip, "--confidence", 0.88, "--unsure", tmp_path / "frames")
    done = edgeloop(*command)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'frames'}: 1 frames on which the model was unsure" in done.stderr
    (line,) = (tmp_path / "frames" / "frames.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert re.fullmatch(r"clip-[0-9a-f]{8}_000012\.jpg", entry["file"])
    assert entry == {
        "file": entry["file"],
        "source": str(clip),
        "index": 12,
        "time_s": 1.2,
        "wall_time": None,
    }
    again = edgeloop(*command)
    assert again.returncode == 0, again.stderr
    assert [each.file for each in read_frames(tmp_path / "frames")] == [entry["file"]]


def test_a_folder_of_something_else_is_left_alone(block_model: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    done = edgeloop("run", block_model, clip, "--unsure", tmp_path)
    assert done.returncode == 65
    assert "expected a new or empty folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]
