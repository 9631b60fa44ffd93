"""Properties that hold for any boxes: letterbox, non-maximum suppression, clipping."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from numpy.typing import NDArray

from edgeloop.models.boxes import clip_boxes, iou_matrix, nms
from edgeloop.models.letterbox import Letterbox

deterministic = settings(derandomize=True, max_examples=60, deadline=None, database=None)

Crowd = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
THRESHOLDS = st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0])
CLASSED = st.booleans()


def sizes(largest: int) -> SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(1, largest), st.integers(1, largest))


@st.composite
def crowds(draw: DrawFn, largest: int = 150) -> Crowd:
    """Boxes on a coarse grid, so that many overlap and tie: xyxy, confidence, class."""
    count = draw(st.integers(0, largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corner = rng.integers(0, 40, (count, 2))
    xyxy = np.concatenate((corner, corner + rng.integers(0, 20, (count, 2))), axis=1).astype(np.float32)
    confidence = rng.integers(0, 30, count).astype(np.float32) / np.float32(30)
    return xyxy, confidence, rng.integers(0, 3, count)


@deterministic
@given(sizes(3000), sizes(1280), st.booleans(), st.booleans(), crowds(largest=20))
def test_letterbox_round_trip(
    source: tuple[int, int],
    model: tuple[int, int],
    centered: bool,
    stretched: bool,
    crowd: Crowd,
) -> None:
    letterbox = Letterbox.fit(source, model, centered=centered, stretched=stretched)
    boxes_src = crowd[0] / 60 * np.tile(source, 2).astype(np.float32)
    boxes_model = letterbox.to_model(boxes_src)
    inside = np.array([*letterbox.offset, *np.add(letterbox.offset, letterbox.resized_size)])
    assert (boxes_model >= np.tile(inside[:2], 2) - 1e-3).all()
    assert (boxes_model <= np.tile(inside[2:], 2) + 1e-3).all()
    # One rounding to float32 in the model's frame, seen at the scale of the source.
    tolerance = 4 * np.finfo(np.float32).eps * max(model) * max(np.divide(source, letterbox.resized_size))
    assert np.abs(letterbox.to_source(boxes_model) - boxes_src).max(initial=0) <= max(tolerance, 1e-3)


@deterministic
@given(sizes(3000), sizes(1280), st.booleans())
def test_the_letterbox_is_within_the_input_and_touches_two_sides(
    source: tuple[int, int], model: tuple[int, int], centered: bool
) -> None:
    letterbox = Letterbox.fit(source, model, centered=centered)
    free = np.subtract(model, letterbox.resized_size)
    assert (free >= 0).all()
    # YOLOX truncates, which may leave one column or row free.
    assert free.min() <= (0 if centered else 1)
    left_over = free - 2 * np.array(letterbox.offset) if centered else np.array(letterbox.offset)
    assert ((left_over >= 0) & (left_over <= 1)).all()


@deterministic
@given(crowds(), THRESHOLDS, CLASSED)
def test_nms_keeps_no_two_that_overlap(crowd: Crowd, threshold: float, classed: bool) -> None:
    xyxy, confidence, class_id = crowd
    kept = nms(xyxy, confidence, class_id if classed else None, threshold)
    assert len(set(kept.tolist())) == len(kept)
    assert set(kept.tolist()) <= set(range(len(xyxy)))
    assert (np.diff(confidence[kept]) <= 0).all()
    hit = iou_matrix(xyxy[kept], xyxy[kept]) > threshold
    if classed:
        hit &= class_id[kept, None] == class_id[kept]
    assert not (hit & ~np.eye(len(kept), dtype=bool)).any()


@deterministic
@given(crowds(), THRESHOLDS, CLASSED)
def test_nms_drops_only_what_a_kept_box_of_no_less_confidence_suppresses(
    crowd: Crowd, threshold: float, classed: bool
) -> None:
    xyxy, confidence, class_id = crowd
    kept = nms(xyxy, confidence, class_id if classed else None, threshold)
    dropped = np.setdiff1d(np.arange(len(xyxy)), kept)
    hit = iou_matrix(xyxy[kept], xyxy[dropped]) > threshold
    hit &= confidence[kept, None] >= confidence[dropped]
    if classed:
        hit &= class_id[kept, None] == class_id[dropped]
    assert hit.any(axis=0).all()


@deterministic
@given(crowds(), THRESHOLDS, CLASSED, st.integers(1, 200))
def test_nms_is_idempotent_and_its_limit_keeps_the_first(
    crowd: Crowd,
    threshold: float,
    classed: bool,
    limit: int,
) -> None:
    xyxy, confidence, class_id = crowd
    kept = nms(xyxy, confidence, class_id if classed else None, threshold)
    again = nms(xyxy[kept], confidence[kept], class_id[kept] if classed else None, threshold)
    assert again.tolist() == list(range(len(kept)))
    limited = nms(xyxy, confidence, class_id if classed else None, threshold, limit=limit)
    assert limited.tolist() == kept[:limit].tolist()


@deterministic
@given(crowds(), sizes(60))
def test_clipped_boxes_are_within_the_image_and_stay_so(crowd: Crowd, size: tuple[int, int]) -> None:
    xyxy = crowd[0] - 10
    clipped = clip_boxes(xyxy, *size)
    assert clipped.dtype == np.float32
    assert (clipped >= 0).all()
    assert (clipped <= np.tile(size, 2)).all()
    assert (clipped[:, 2:] >= clipped[:, :2]).all()
    assert np.array_equal(clip_boxes(clipped, *size), clipped)
    inside = ((xyxy >= 0) & (xyxy <= np.tile(size, 2))).all(axis=1)
    assert np.array_equal(clipped[inside], xyxy[inside])
