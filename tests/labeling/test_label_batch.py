"""Frames that a job handles together: one call of SAM's encoder, and the rows of each frame alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pycocotools import mask as rle

from edgeloop.labeling.build import DetectorModels, SegmenterChoice
from edgeloop.labeling.dataset.write import annotation_of
from edgeloop.labeling.engine.engine import Engine, LearnedEngine
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.inputs.exemplars import ExemplarFrame
from edgeloop.labeling.label_job import LabelItem, LabelJob
from edgeloop.labeling.label_text import outline_of
from edgeloop.labeling.labeler import DetectorLabeler, label_exemplar
from edgeloop.labeling.ledger import FrameResult, LabeledRow
from edgeloop.labeling.sam import Device
from edgeloop.labeling.workers.frame_job import Outcome, Shard, handle_shard
from edgeloop.models.detections import Detections

SCORES = {"sure": [0.9, 0.7], "another": [0.8, 0.3], "large": [0.95], "unsure": [0.4], "empty": []}
SIZES = {"large": (90, 160)}


TRIANGLE: str = rle.frPyObjects([[30, 10, 50, 10, 30, 40]], 60, 80)[0]["counts"].decode()
"""Mask in a frame of 80x60 that a person drew."""


def gray(name: str) -> int:
    return 10 * (1 + list(SCORES).index(name))


class Finder:
    """An engine that knows a frame by its gray, and finds one object more to the right for each score."""

    mask_weight = 0.5

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        scores = {gray(name): own for name, own in SCORES.items()}[int(image[0, 0, 0])]
        boxes = [[5 + 20 * place, 8, 20 + 20 * place, 30] for place in range(len(scores))]
        classes = np.zeros(len(scores), np.int64)
        return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), classes)


@dataclass
class Counting:
    """A segmenter whose masks are the boxes less a margin that the image's size tells.

    Attributes:
        most: Number of images that fit into the memory.
        calls: Number of images of each call of the encoder.
    """

    most: int = 99
    calls: list[int] = field(default_factory=list)
    size: tuple[int, ...] = ()

    def set_image(self, image: NDArray[np.uint8]) -> None:
        (own,) = self.encode([image])
        self.size = own.size

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Counting]:
        self.calls.append(len(images))
        if len(images) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        encoded = [copy.copy(self) for _ in images]
        for own, image in zip(encoded, images, strict=True):
            own.size = image.shape[:2]
        return encoded

    def masks(
        self, *, boxes: NDArray[np.float32] | None = None, points: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        assert boxes is not None
        assert points is None
        margin = self.size[0] // 40
        masks = np.zeros((len(boxes), *self.size), bool)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int).tolist(), strict=True):
            mask[y1 + margin : y2, x1 + margin : x2] = True
        return masks, np.full(len(boxes), 0.9, np.float32)


@dataclass(frozen=True, slots=True)
class StandIn(DetectorModels):
    """Models without weights; `segmenter` tells the device only."""

    counting: Counting

    def open(self, files: Mapping[str, Path]) -> DetectorLabeler:
        del files
        return DetectorLabeler(cast("Engine", Finder()), self.counting, self.confidence)


def items(folder: Path) -> list[LabelItem]:
    """Frames in the order of SCORES, then one that is cut off and one with a person's box."""
    for name in (*SCORES, "drawn"):
        height, width = SIZES.get(name, (60, 80))
        image = np.full((height, width, 3), gray("sure" if name == "drawn" else name), np.uint8)
        cv2.imwrite(str(folder / f"{name}.png"), image)
    (folder / "broken.png").write_bytes((folder / "sure.png").read_bytes()[:40])
    box = ExemplarFrame(folder / "drawn.png", np.array([[30, 10, 50, 40]], np.float32), np.array([0]))
    names = [f"{name}.png" for name in (*SCORES, "broken", "drawn")]
    return [LabelItem(name, name, box if name == "drawn.png" else None) for name in names]


def handle(folder: Path, counting: Counting, device: Device) -> list[Outcome[LabeledRow]]:
    models = StandIn(cast("LearnedEngine", None), SegmenterChoice("vit_b", device, {}), 0.5, counting)
    job, own = LabelJob(FolderStore(folder), models), items(folder)
    return handle_shard(job.open({}), job, Shard(range(len(own)), own))


@pytest.mark.parametrize(
    ("device", "most", "calls"),
    [
        pytest.param("cpu", 99, [1, 1, 1, 1], id="one by one on the CPU"),
        pytest.param("cuda", 99, [3, 1], id="together on a GPU, but for the person's"),
        pytest.param("cuda", 1, [3, 1, 1, 1, 1], id="one by one if the GPU's memory is too small"),
    ],
)
def test_rows_do_not_depend_on_the_batch(tmp_path: Path, device: Device, most: int, calls: list[int]) -> None:
    """Frames without masks to draw are never encoded."""
    counting = Counting(most)
    outcomes = handle(tmp_path, counting, device)
    assert counting.calls == calls
    assert [outcome.fault for outcome in outcomes] == [None] * 7
    rows = [outcome.row.result for outcome in outcomes if outcome.row is not None]
    counts = {Path(row.file).stem: (len(row.labels), len(row.unsure)) for row in rows}
    assert counts == {
        "sure": (2, 0), "another": (1, 1), "large": (1, 0), "unsure": (0, 1), "empty": (0, 0),
        "broken": (0, 0), "drawn": (1, 0),
    }  # fmt: skip
    assert [row.by_person for row in rows] == [False] * 6 + [True]
    assert [row.problem is None for row in rows] == [True] * 5 + [False, True]
    assert outcomes == handle(tmp_path, Counting(), "cpu")


def test_each_frame_has_its_own_mask(tmp_path: Path) -> None:
    rows = [outcome.row for outcome in handle(tmp_path, Counting(), "cuda")]
    boxes = [row.result.labels[0].xyxy for row in rows[:3] if row is not None]
    assert boxes[0] == boxes[1] != boxes[2]  # the larger frame has another margin


def test_a_mask_that_a_person_drew_stays() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    frame = ExemplarFrame(
        Path("drawn.png"), np.array([[30, 10, 50, 40]] * 2, np.float32), np.array([0, 0]), {1: TRIANGLE}
    )
    segmenter = Counting()
    asked, drawn = label_exemplar(image, frame, segmenter)
    assert (asked.mask_from, drawn.mask_from, drawn.counts) == ("sam", "human", TRIANGLE)
    assert asked.counts not in (None, TRIANGLE)
    result = FrameResult(file="drawn.png", width=80, height=60, labels=(asked, drawn), by_person=True)
    assert [annotation_of(own, result)["mask_from"] for own in result.labels] == ["sam", "human"]
    outline = outline_of(drawn, result)
    assert outline is not None
    filled = rle.frPyObjects([outline.ravel().tolist()], 60, 80)
    assert rle.iou(filled, [{"size": [60, 80], "counts": TRIANGLE}], [0])[0, 0] > 0.95
    label_exemplar(image, replace(frame, masks={0: TRIANGLE, 1: TRIANGLE}), segmenter)
    assert segmenter.calls == [1]  # SAM is asked for nothing else
