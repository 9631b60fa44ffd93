"""Objects pasted once more, and what their boxes then say."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.labeling.candidates.exemplar_masks import ExemplarMasks
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.prompts.copy_paste import paste_objects

WIDTH, HEIGHT = 320, 240
COLORS = ((0, 0, 255), (0, 255, 0), (255, 0, 0))
PLACES = ((60, 60), (160, 120), (250, 180))
RADIUS = 24


def frame_of(masks: Sequence[NDArray[np.uint8]], *, unknown: int = -1, number: int = 4) -> ExemplarMasks:
    """An object of its own color and class for each mask on black; one may be without an outline."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cropped_masks: list[CroppedMask | None] = []
    boxes = []
    for row, mask in enumerate(masks):
        image[mask > 0] = COLORS[row]
        cropped = CroppedMask.from_mask(mask > 0)
        assert cropped is not None
        boxes.append(cropped.xyxy)
        cropped_masks.append(None if row == unknown else cropped)
    return ExemplarMasks(number, image, np.stack(boxes), np.arange(len(masks)), cropped_masks)


def disc(center: tuple[int, int], radius: int = RADIUS) -> NDArray[np.uint8]:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, center, radius, 1, cv2.FILLED)
    return mask


def discs() -> ExemplarMasks:
    return frame_of([disc(place) for place in PLACES])


def of_color(image: NDArray[np.uint8], color: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mask of a color; edges are soft."""
    return np.asarray(np.abs(image.astype(int) - color).max(axis=2) < 100)


@pytest.mark.parametrize("seed", range(8))
def test_boxes_end_where_what_is_still_seen_ends(seed: int) -> None:
    """Each pixel of an object is in its mask and box, whatever has been pasted over it."""
    made = paste_objects(discs(), np.random.default_rng(seed))
    assert len(made.xyxy) > len(PLACES)
    assert len(made.xyxy) == len(made.class_id) == len(made.masks)
    for class_id, color in enumerate(COLORS):
        shown = of_color(made.image, color)
        claimed = np.zeros_like(shown)
        for row in np.flatnonzero(made.class_id == class_id).tolist():
            own = made.masks[row]
            assert own is not None
            window = claimed[own.top : own.bottom, own.left : own.right]
            assert not (window & own.bits).any(), "two of one color never share a pixel"
            window |= own.bits
            np.testing.assert_allclose(made.xyxy[row], own.xyxy, atol=1.5)
        assert (shown & claimed).sum() > 0.97 * max(shown.sum(), claimed.sum())


def test_a_person_draws_as_loosely_as_before() -> None:
    """How far a box is drawn around its object is kept, for what is pasted and for what is covered."""
    tight = discs()
    loose = tight.xyxy + np.array([-4, -4, 4, 4], np.float32)
    frame = ExemplarMasks(0, tight.image, loose, tight.class_id, tight.masks)
    for seed in range(6):
        made = paste_objects(frame, np.random.default_rng(seed))
        for box, own in zip(made.xyxy, made.masks, strict=True):
            assert own is not None
            margins = np.concatenate((own.xyxy[:2] - box[:2], box[2:] - own.xyxy[2:]))
            at_border = np.isin(box, (0, WIDTH, HEIGHT))
            assert np.abs(margins[~at_border] - 4).max(initial=0) < 1.5


def test_things_are_turned_by_any_angle() -> None:
    bar = np.zeros((HEIGHT, WIDTH), np.uint8)
    bar[100:110, 120:180] = 1
    slants = set()
    for seed in range(30):
        made = paste_objects(frame_of([bar]), np.random.default_rng(seed))
        sides = made.xyxy[1:, 2:] - made.xyxy[1:, :2]
        slants |= {int(10 * w / (w + h)) for w, h in sides.tolist()}
    assert slants >= {2, 3, 4, 5, 6, 7}


def test_nothing_is_hidden_beyond_recognition() -> None:
    for seed in range(20):
        made = paste_objects(discs(), np.random.default_rng(seed))
        seen = [int(own.bits.sum()) for own in made.masks if own is not None]
        assert min(seen) > 0.2 * np.pi * RADIUS**2 * np.exp(-0.3)


def test_what_has_no_outline_is_neither_cut_out_nor_covered() -> None:
    frame = frame_of([disc(place) for place in PLACES], unknown=1)
    for seed in range(20):
        made = paste_objects(frame, np.random.default_rng(seed))
        assert (made.class_id == 1).sum() == 1
        np.testing.assert_array_equal(made.xyxy[1], frame.xyxy[1])
        x1, y1, x2, y2 = frame.xyxy[1].astype(int).tolist()
        np.testing.assert_allclose(made.image[y1:y2, x1:x2], frame.image[y1:y2, x1:x2], atol=130)


def test_what_the_border_cuts_is_not_cut_out() -> None:
    frame = frame_of([disc((0, 120)), disc(PLACES[1])])
    classes = [paste_objects(frame, np.random.default_rng(seed)).class_id[2:] for seed in range(20)]
    assert set(np.concatenate(classes).tolist()) == {1}


def test_a_frame_without_anything_to_cut_out_stays_as_it_is() -> None:
    frame = frame_of([disc(PLACES[0])], unknown=0)
    made = paste_objects(frame, np.random.default_rng(0))
    np.testing.assert_array_equal(made.image, frame.image)
    np.testing.assert_array_equal(made.xyxy, frame.xyxy)


def test_the_frame_itself_is_left_alone_and_a_seed_repeats() -> None:
    frame, before = discs(), discs()
    one, other = (paste_objects(frame, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(frame.image, before.image)
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.xyxy, other.xyxy)
    assert one.number == frame.number
