"""`edgeloop run` with a segmentation model: masks in JSON lines, in the video and at zones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.calls import Outcome
from tests.disc_finder import SIDE, draw_discs, write_disc_finder

YARD = [[20, 38], [36, 38], [36, 44], [20, 44]]
"""Around the lowest point of the disc, (28, 42); the box of the model ends at 48."""


@pytest.mark.slow
def test_masks_reach_every_output_and_stay_in_frames_that_are_not_detected_again(
    edgeloop: Callable[..., Outcome], tmp_path: Path
) -> None:
    pytest.importorskip("trackers", reason="needs edgeloop[track]")
    model = write_disc_finder(tmp_path / "discs.onnx")
    image, (disc,) = draw_discs((SIDE, SIDE), (28, 28))
    (frames := tmp_path / "frames").mkdir()
    for index in range(50):
        cv2.imwrite(str(frames / f"{index:03}.png"), image)
    (zones := tmp_path / "zones.json").write_text(
        json.dumps({"zones": [{"name": "yard", "polygon": YARD}], "units": "pixels"})
    )
    video = tmp_path / "out.mp4"
    done = edgeloop("run", model, frames, "--json", "--video", video, "--zones", zones, "--skip-unchanged")
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len(lines) == 50
    assert any(line.get("unchanged") for line in lines)
    assert [event["event"] for line in lines for event in line["events"]] == ["enter"]
    for line in lines:
        ((segment,),) = [detection["segments"] for detection in line["detections"]]
        drawn = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(drawn, [np.array(segment).reshape(-1, 2).round().astype(np.int32)], 1)
        assert (drawn & disc).sum() / (drawn | disc).sum() > 0.9
    seen, picture = cv2.VideoCapture(str(video)).read()
    assert seen
    blue, _, red = picture[28, 28].astype(int)
    assert red - blue > 40, "the white disc has the red of its class"
    assert picture[10, 10].max() < 60, "beside it the picture is as it was"
