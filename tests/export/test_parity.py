from __future__ import annotations

import numpy as np
import pytest

from edgeloop.export.check.parity import Parity, compare, merge
from edgeloop.models.detections import Detections

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
