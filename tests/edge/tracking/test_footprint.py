"""Footprints: where objects touch the ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeloop.edge.tracking import Event, ZoneCounter, ZoneFile
from edgeloop.edge.tracking.footprint import footprints
from edgeloop.models.detections import Detections
from tests.masked import masked

SIZE = 200, 150


def drawn(*rectangles: tuple[int, int, int, int]) -> np.ndarray:
    """Whole mask of these rectangles x1, y1, x2, y2."""
    mask = np.zeros(SIZE[::-1], np.bool_)
    for x1, y1, x2, y2 in rectangles:
        mask[y1:y2, x1:x2] = True
    return mask


def leaning(x: int) -> np.ndarray:
    """Bar of 4 px, 60 px high, whose foot is at x and whose top is 60 px to its right."""
    mask = np.zeros(SIZE[::-1], np.bool_)
    for row in range(60):
        mask[120 - row - 1, x + row - 2 : x + row + 2] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        pytest.param(drawn((40, 20, 80, 100)), (60, 100), id="a box is at its bottom center"),
        pytest.param(drawn((40, 20, 60, 100), (60, 80, 140, 100)), (90, 100), id="an L stands on its foot"),
        pytest.param(
            drawn((40, 20, 60, 100), (60, 20, 140, 40)), (50, 100), id="an L upside down on its leg"
        ),
        pytest.param(leaning(50), (51, 120), id="what leans is where its foot is"),
        pytest.param(drawn((10, 50, 30, 51)), (20, 51), id="one row"),
        pytest.param(drawn((0, 0, 200, 150)), (100, 150), id="the whole frame"),
    ],
)
def test_an_object_is_where_its_mask_touches_the_ground(
    mask: np.ndarray, expected: tuple[float, float]
) -> None:
    assert footprints(masked(mask))[0] == pytest.approx(expected, abs=0.6)


def test_without_pixels_the_box_tells() -> None:
    box = np.array([[20, 20, 60, 80]], np.float32)
    nothing = masked(np.zeros(SIZE[::-1], np.bool_), boxes=box)
    assert footprints(nothing).tolist() == footprints(replace(nothing, masks=None)).tolist() == [[40, 80]]
    assert footprints(Detections.empty()).shape == (0, 2)


def test_what_leans_enters_a_zone_with_its_foot() -> None:
    zones = ZoneFile.model_validate(
        {"zones": [{"name": "yard", "polygon": [[40, 60], [70, 60], [70, 150], [40, 150]]}]}
    )
    found = replace(masked(leaning(50)), tracker_id=np.array([3], np.int64))
    with_masks = ZoneCounter(zones, ["mast"], "zones.json")
    assert with_masks.update(found, SIZE, 1.0) == (Event("enter", "yard", 3, 0),)
    by_box = ZoneCounter(zones, ["mast"], "zones.json")
    assert by_box.update(replace(found, masks=None), SIZE, 1.0) == ()
