"""Doubt from scores alone."""

from __future__ import annotations

import numpy as np
import pytest

from edgeloop.edge.doubt.near_threshold import uncertainty
from edgeloop.models.detections import Detections

THRESHOLD = 0.4


def scored(*scores: float) -> Detections:
    count = len(scores)
    xyxy = np.tile(np.array([10, 10, 30, 30], np.float32), (count, 1))
    return Detections(xyxy, np.array(scores, np.float32), np.zeros(count, np.int64))


@pytest.mark.parametrize(
    ("detections", "expected"),
    [
        pytest.param(Detections.empty(), 0.0, id="nothing found is certain"),
        pytest.param(scored(1.0), 0.0, id="certain"),
        pytest.param(scored(0.7), 0.5, id="half-way"),
        pytest.param(scored(0.4), 1.0, id="at the threshold"),
        pytest.param(scored(1.0, 0.4), 1.0, id="the worst box counts"),
        pytest.param(scored(0.3), 1.0, id="below it, as trackers hand on"),
    ],
)
def test_uncertainty_grows_towards_the_threshold(detections: Detections, expected: float) -> None:
    assert uncertainty(detections, THRESHOLD) == pytest.approx(expected)
