from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeloop.export.check.parity import BundlePrecision, Parity, compare, disagreement, merge
from edgeloop.models.detections import Detections
from edgeloop.models.masks import Masks

BOX = (10.0, 10.0, 50.0, 50.0)
OTHER = (60.0, 10.0, 90.0, 50.0)


def found(*rows: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    return Detections(
        np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[2] for row in rows], np.int64),
    )


@pytest.mark.parametrize(
    ("expected", "actual", "repeated"),
    [
        pytest.param(found((BOX, 0.9, 0)), found((BOX, 0.9, 0)), 1, id="the same box"),
        pytest.param(found((BOX, 0.9, 0)), found((BOX, 0.9, 1)), 0, id="another class"),
        pytest.param(found((BOX, 0.26, 0)), found((BOX, 0.24, 0)), 1, id="slips below the threshold"),
        pytest.param(found((BOX, 0.9, 0)), found((BOX, 0.1, 0)), 0, id="lost its confidence"),
        pytest.param(found((BOX, 0.9, 0)), found(((10, 10, 50, 52.5), 0.9, 0)), 0, id="two pixels off"),
        pytest.param(found((BOX, 0.9, 0)), found(), 0, id="nothing found"),
        pytest.param(found(), found((BOX, 0.9, 0)), 0, id="nothing expected"),
        pytest.param(found((BOX, 0.9, 0), (BOX, 0.8, 0)), found((BOX, 0.9, 0)), 1, id="one partner each"),
        pytest.param(
            found((BOX, 0.9, 0), (OTHER, 0.8, 1)), found((OTHER, 0.8, 1), (BOX, 0.9, 0)), 2, id="order"
        ),
    ],
)
def test_counts_repeated_boxes(expected: Detections, actual: Detections, repeated: int) -> None:
    parity = compare(expected, actual)
    assert (parity.boxes, parity.repeated) == (len(expected), repeated)


def test_sums_over_images() -> None:
    parity = merge([Parity(1, 3, 3, 0.01), Parity(1, 1, 0, 0.0)])
    assert parity == Parity(frames=2, boxes=4, repeated=3, confidence_drift=0.01)
    assert parity.matched == 0.75
    assert merge([]).matched == 0


def masked(*columns: int, confidence: float = 0.9) -> Detections:
    """Boxes of 40x40 px side by side, of each so many columns from the left in its mask."""
    boxes = found(*(((50 * row, 10, 50 * row + 40, 50), confidence, 0) for row in range(len(columns))))
    windows = tuple(np.ones((40, count), np.bool_) for count in columns)
    corners = np.array([(50 * row, 10) for row in range(len(columns))], np.int64)
    return replace(boxes, masks=Masks(windows, corners, (200, 60)))


@pytest.mark.parametrize(
    ("precision", "actual", "repeated", "other_masks"),
    [
        pytest.param("fp32", masked(40, 40), 2, 0, id="the same masks"),
        pytest.param("fp32", masked(39, 37), 1, 1, id="a mask that lost three columns of 40"),
        pytest.param("int8", masked(39, 37), 2, 0, id="which 8 bits may"),
        pytest.param("int8", masked(29, 40), 1, 1, id="more than 8 bits may"),
        pytest.param("fp32", masked(40), 1, 0, id="a box that is gone has no other mask"),
        pytest.param("fp32", replace(masked(40, 40), masks=None), 0, 2, id="boxes without masks"),
    ],
)
def test_a_box_with_another_mask_is_not_repeated(
    precision: BundlePrecision, actual: Detections, repeated: int, other_masks: int
) -> None:
    parity = compare(masked(40, 40), actual, precision)
    assert (parity.boxes, parity.repeated, parity.other_masks) == (2, repeated, other_masks)
    assert merge([parity, parity]).other_masks == 2 * other_masks


def test_disagreement_is_that_of_the_masks_where_boxes_agree() -> None:
    assert disagreement([masked(40, 40)], [masked(40, 40)]) == 0
    assert disagreement([masked(40, 40)], [masked(30, 40)]) == pytest.approx(0.25 / 2)
    assert disagreement([masked(40)], [masked(30, confidence=0.8)]) == pytest.approx(1 - 0.75 * 0.9)
