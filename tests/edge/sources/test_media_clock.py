"""Time in footage: by its time stamps, and never backwards."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.sources.media_clock import MediaClock


def times(*stamps_s: float, fps: float | None = 10) -> list[float]:
    clock = MediaClock(fps)
    return [clock.tell(stamp_s) for stamp_s in stamps_s]


@pytest.mark.parametrize(
    ("stamps_s", "expected"),
    [
        pytest.param([0, 0.033, 0.4, 3600], [0, 0.033, 0.4, 3600], id="variable rate and a gap"),
        pytest.param([0.5, 0.6, 0.7], [0, 0.1, 0.2], id="a first stamp that is not 0"),
        pytest.param([0, 0, 0, 0], [0, 0.1, 0.2, 0.3], id="no stamps"),
        pytest.param([0, 5, 0, 5.2, 5.3], [0, 5, 5.1, 5.2, 5.3], id="one frame without a stamp"),
        pytest.param([0, 0.2, 0.1, 0.4], [0, 0.2, 0.3, 0.4], id="one frame out of order"),
        pytest.param([9, 10, 11, 1, 1.1, 1.5], [0, 1, 2, 2.1, 2.2, 2.6], id="it starts again"),
    ],
)
def test_times_follow_the_stamps(stamps_s: list[float], expected: list[float]) -> None:
    assert times(*stamps_s) == pytest.approx(expected)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(stamps_s=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40), fps=st.none() | st.floats(0.1, 1000))
def test_times_rise_whatever_the_stamps(stamps_s: list[float], fps: float | None) -> None:
    told = times(*stamps_s, fps=fps)
    assert told[0] == 0
    assert all(later > earlier for earlier, later in pairwise(told))
