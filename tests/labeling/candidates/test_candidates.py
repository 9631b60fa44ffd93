"""What becomes of prompts, with nano on a picture of two discs; and which candidates are doubles."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.synth import open_scene
from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.dedupe import deduplicate
from edgeloop.labeling.candidates.find import find_candidates
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.sam import Segmenter, load
from edgeloop.models.boxes import iou_matrix

DISC = np.array([60, 40, 140, 120], np.float32)


@pytest.fixture(scope="module")
def nano() -> Segmenter:
    return load("nano")


@pytest.fixture(scope="module")
def discs() -> NDArray[np.uint8]:
    image = np.full((240, 320, 3), (90, 110, 100), np.uint8)
    cv2.circle(image, (100, 80), 40, (230, 230, 220), -1, cv2.LINE_AA)
    cv2.circle(image, (240, 150), 45, (30, 40, 200), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.8), np.uint8)


def test_loose_box_moves_to_the_object(nano: Segmenter, discs: NDArray[np.uint8]) -> None:
    loose = DISC + np.array([-6, -5, 5, 7], np.float32)
    (candidate,) = find_candidates(discs, [Prompts("human", loose[None])], nano)
    assert candidate.mask_agrees
    assert candidate.mask is not None
    before, after, mask = (
        float(iou_matrix(box[None], DISC[None])[0, 0]) for box in (loose, candidate.xyxy, candidate.mask.xyxy)
    )
    assert after > before
    assert mask > 0.8
    assert (candidate.source, candidate.sam_score > 0.4) == ("human", True)


def test_box_that_sam_sees_nothing_in_stays(nano: Segmenter, discs: NDArray[np.uint8]) -> None:
    box = np.array([[2, 200, 7, 204]], np.float32)
    (candidate,) = find_candidates(discs, [Prompts("human", box)], nano)
    assert not candidate.mask_agrees
    np.testing.assert_array_equal(candidate.xyxy, box[0])


@pytest.mark.slow
def test_points_find_objects_without_exemplars(nano: Segmenter) -> None:
    scene = open_scene("conveyor", seed=1)
    image = scene.render(900)
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(10, width, width / 24), np.arange(10, height, width / 24))
    points = np.stack((x, y), axis=-1).reshape(-1, 2).astype(np.float32)
    found = find_candidates(image, [Prompts("grid", points)], nano)
    boxes = np.stack([candidate.xyxy for candidate in found])
    best = iou_matrix(scene.truth(900).xyxy, boxes).max(axis=1)
    assert (best >= 0.5).mean() >= 0.4


def test_no_prompts_cost_nothing(discs: NDArray[np.uint8]) -> None:
    class Asleep:
        def set_image(self, _image: NDArray[np.uint8]) -> None:
            raise AssertionError("nobody asked")

        def encode(self, _images: Sequence[NDArray[np.uint8]]) -> list[Asleep]:
            raise AssertionError("nobody asked")

        def masks(self, **_: object) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
            raise AssertionError("nobody asked")

    assert find_candidates(discs, [Prompts("human", np.empty((0, 4), np.float32))], Asleep()) == []


def boxed(*xyxy: float) -> Candidate:
    return Candidate(np.array(xyxy, np.float32), None, False, 0.0, "human")


def masked(*xyxy: int, bits: NDArray[np.bool_] | None = None, prompt: Candidate | None = None) -> Candidate:
    """A mask that fills a box, or part of it; asked about another box where `prompt` is given."""
    x1, y1, x2, y2 = xyxy
    cropped = CroppedMask(x1, y1, np.ones((y2 - y1, x2 - x1), bool) if bits is None else bits)
    box = cropped.xyxy if prompt is None else prompt.xyxy
    return Candidate(box, cropped, prompt is None, 0.9, "human")


CORNER = np.tri(100, dtype=bool)


@pytest.mark.parametrize(
    ("candidates", "classes", "kept"),
    [
        pytest.param([boxed(0, 0, 50, 50), boxed(60, 0, 99, 50)], [0, 0], [0, 1], id="apart"),
        pytest.param([boxed(0, 0, 50, 50), boxed(2, 0, 52, 50)], [0, 0], [0], id="double"),
        pytest.param([boxed(0, 0, 50, 50), boxed(2, 0, 52, 50)], [0, 1], [0], id="double of another class"),
        pytest.param([boxed(0, 0, 50, 50), boxed(5, 5, 25, 25)], [0, 0], [0], id="part"),
        pytest.param([boxed(5, 5, 25, 25), boxed(0, 0, 50, 50)], [0, 0], [0], id="whole after its part"),
        pytest.param([boxed(0, 0, 50, 50), boxed(5, 5, 25, 25)], [0, 1], [0, 1], id="one thing on another"),
        pytest.param([boxed(0, 0, 50, 50), boxed(25, 0, 75, 50)], [0, 0], [0, 1], id="half overlap"),
        pytest.param([boxed(0, 0, 50, 50), boxed(17, 0, 67, 50)], [0, 0], [0], id="one class, mostly one"),
        pytest.param(
            [boxed(0, 0, 50, 50), boxed(17, 0, 67, 50)], [0, 1], [0, 1], id="two classes, mostly one"
        ),
        pytest.param(
            [masked(0, 0, 100, 100, bits=CORNER), masked(60, 5, 90, 35)],
            [0, 0],
            [0, 1],
            id="in a bay",
        ),
        pytest.param(
            [masked(0, 0, 100, 100), masked(0, 0, 98, 100, prompt=boxed(0, 60, 70, 130))],
            [0, 0],
            [0],
            id="asked about a part, SAM shows the whole",
        ),
        pytest.param(
            [masked(0, 0, 100, 100, bits=CORNER), boxed(60, 5, 90, 35)],
            [0, 0],
            [0],
            id="a box without a mask, in the bay of one that has a mask",
        ),
        pytest.param([], [], [], id="nothing"),
    ],
)
def test_repeats(candidates: list[Candidate], classes: list[int], kept: list[int]) -> None:
    scores = np.linspace(0.9, 0.5, len(candidates), dtype=np.float32)
    assert deduplicate(candidates, scores, np.array(classes, np.int64)) == kept
