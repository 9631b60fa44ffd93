"""Frames that change their size in the middle of a stream: everything behind the source goes along."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.loop.open_stream import open_stream
from edgeloop.edge.loop.pipeline import run_streams
from edgeloop.edge.result import Result
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.sinks import VideoFile
from edgeloop.edge.sources import as_source
from edgeloop.edge.tracking import IgnoreMask, ZoneCounter, ZoneFile
from tests.blocks import block_box, draw_block

FULL, HALF, TALL = (160, 120), (80, 60), (120, 160)
YARD = {"name": "yard", "polygon": [[0, 0], [160, 0], [160, 120], [0, 120]]}


def frames(*sizes: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Ten frames of the clip in each size, one after the other."""
    numbered = enumerate(size for size in sizes for _ in range(10))
    return [np.asarray(cv2.resize(draw_block(index), size), np.uint8) for index, size in numbered]


def test_boxes_ids_zones_mask_and_video_follow_another_size_of_the_same_shape(
    block_model: Path, tmp_path: Path
) -> None:
    results, mask = list[Result](), np.zeros((120, 160, 3), np.uint8)
    mask[:10] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    detector = Detector(block_model, threads=1)
    with as_source(frames(FULL, HALF, FULL)) as source:
        stream = open_stream(
            source,
            detector,
            zones=ZoneCounter(ZoneFile.model_validate({"zones": [YARD]}), detector.names, "zones.json"),
            ignore=IgnoreMask(tmp_path / "mask.png", detector.names),
        )
        stream.sinks.append(VideoFile(tmp_path / "out.mp4", detector.names, fps=30, live=False))
        stream.on_result = results.append
        run_streams([stream], detector)
    assert stream.error is None
    assert {result.frame.image.shape[1::-1] for result in results} == {FULL, HALF}
    for result in results:
        scale = result.frame.image.shape[1] / 160
        assert np.abs(result.detections.xyxy - np.array([block_box(result.frame.index)]) * scale).max() < 4
    assert (tmp_path / "out.mp4").stat().st_size


def test_frames_of_another_shape_fail_with_a_reason_until_the_old_one_is_back(block_model: Path) -> None:
    results, reasons = list[Result](), list[str]()
    detector = Detector(block_model, threads=1)
    with as_source(frames(FULL, TALL, FULL)) as source:
        zones = ZoneCounter(ZoneFile.model_validate({"zones": [YARD]}), detector.names, "zones.json")
        stream = open_stream(source, detector, zones=zones)
        stream.on_failure = lambda error: not reasons.append(str(error))
        stream.on_result = lambda result: results.append(result)
        run_streams([stream], detector)
    assert stream.error is None
    assert [result.frame.index for result in results] == [*range(10), *range(20, 30)]
    assert stream.failed == len(reasons) == 10
    assert reasons[0].startswith("zones zones.json: the frames were 160x120 and are 120x160")
