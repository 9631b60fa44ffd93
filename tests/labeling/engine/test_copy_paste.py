"""Copy-paste augmentation: pasted objects are in the picture, and their boxes around them."""

from __future__ import annotations

import numpy as np
import pytest

from edgeloop.export.learn.augment import Sample
from edgeloop.labeling.engine.copy_paste import Cutout, by_class, cut_objects, paste_objects
from edgeloop.labeling.sam import load

GRAY, RED, BLUE = 127, (0, 0, 250), (250, 0, 0)


def picture() -> Sample:
    """A red and a blue square on gray."""
    image = np.full((120, 160, 3), GRAY, np.uint8)
    image[20:50, 20:50], image[70:100, 90:120] = RED, BLUE
    boxes = np.array([[20, 20, 50, 50], [90, 70, 120, 100]], np.float32)
    return Sample(image, np.array([0, 1]), boxes)


def square(color: tuple[int, int, int], *, whole: bool = True) -> Cutout:
    return Cutout(np.full((12, 12, 3), color, np.uint8), np.ones((12, 12), np.float32), whole)


def test_objects_are_cut_out_along_their_masks() -> None:
    cutouts = cut_objects(picture(), load("nano", offline=True))
    assert [class_id for class_id, _ in cutouts] == [0, 1]
    for (_, cutout), color in zip(cutouts, (RED, BLUE), strict=True):
        assert cutout.whole
        inside = cutout.pixels[cutout.mask > 0.5]
        assert len(inside) > 600  # of 900
        np.testing.assert_array_equal(np.median(inside, axis=0), color)


def test_masks_of_a_crowded_frame_are_not_all_in_memory_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = load("nano", offline=True)
    asked: list[int] = []
    masks = segmenter.masks

    def count(*, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(len(boxes))
        return masks(boxes=boxes)

    monkeypatch.setattr(segmenter, "masks", count)
    frame = picture()
    crowded = Sample(frame.image, np.tile(frame.class_id, 20), np.tile(frame.xyxy, (20, 1)))
    assert len(cut_objects(crowded, segmenter)) == 40
    assert max(asked) <= 32


def test_pasted_boxes_lie_around_what_was_pasted() -> None:
    frame, rng = picture(), np.random.default_rng(0)
    green = (0, 250, 0)
    pasted = 0
    for _ in range(20):
        result = paste_objects(frame, {1: [square(green)]}, rng)
        np.testing.assert_array_equal(result.xyxy[:2], frame.xyxy)
        for box, class_id in zip(result.xyxy[2:], result.class_id[2:], strict=True):
            left, top, right, bottom = box.astype(int)
            b, g, r = np.median(result.image[top:bottom, left:right].reshape(-1, 3), axis=0)
            assert class_id == 1
            assert g > 200
            assert max(b, r) < 60
            pasted += 1
    assert pasted > 20
    np.testing.assert_array_equal(frame.image, picture().image)  # the frame itself stays


def test_rare_class_is_pasted_as_often_as_a_common_one() -> None:
    rng = np.random.default_rng(0)
    cutouts = {0: [square(RED)] * 50, 1: [square(BLUE)]}
    classes = np.concatenate([paste_objects(picture(), cutouts, rng).class_id[2:] for _ in range(200)])
    assert 0.4 < (classes == 1).mean() < 0.6


def test_objects_that_the_border_cuts_are_pasted_only_if_there_are_no_others() -> None:
    cut, whole = square(RED, whole=False), square(RED)
    assert by_class([(0, cut), (0, whole), (1, cut)]) == {0: [whole], 1: [cut]}


def test_frame_without_objects_stays_as_it_is() -> None:
    empty = Sample(picture().image, np.empty(0, np.int64), np.empty((0, 4), np.float32))
    assert cut_objects(empty, load("nano", offline=True)) == []
    np.testing.assert_array_equal(paste_objects(empty, {}, np.random.default_rng(0)).image, empty.image)
