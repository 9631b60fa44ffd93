"""Frames that are kept to learn from, without those that a person drew boxes on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.edge.frame import Frame
from edgeloop.edge.frames.folder import FrameWriter
from edgeloop.edge.host.image_bytes import decode_image
from edgeloop.edge.host.opencv import encode_image
from edgeloop.edge.loop.cell_changes import shrink_to_cells
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.sources import open_source
from edgeloop.edge.synth import open_scene
from edgeloop.labeling.teaching.kept_frames import KeptFrames
from edgeloop.models.detections import Detections


@pytest.mark.parametrize("still", [False, True])
def test_frames_that_a_person_drew_on_are_not_kept(tmp_path: Path, still: bool) -> None:
    scene = open_scene("conveyor", seed=1)
    images = [scene.render(index) for index in (300, 600)]
    if still:  # next to nothing differs: one small object has moved
        images[1] = images[0].copy()
        cv2.rectangle(images[1], (300, 200), (315, 215), (0, 0, 0), -1)
    stored = decode_image(encode_image(".jpg", images[0]), "drawn")
    assert stored is not None
    assert not np.array_equal(stored, images[0])
    kept: list[int] = []
    with FrameWriter(tmp_path / "frames") as writer:
        sink = KeptFrames(
            writer, open_source("synth:conveyor"), kept.append, print, count=0, wanted=5,
            drawn=[shrink_to_cells(stored)],
        )  # fmt: skip
        for index, image in enumerate(images):
            frame = Frame(image, index, 0.0, 0.0, "belt", index / 30)
            sink.write(Result(frame, Detections.empty(), Timings(1.0, {})))
            assert writer.written == index
    assert kept == [1]
