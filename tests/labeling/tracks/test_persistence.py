"""What it says about a label that it is seen for long."""

from __future__ import annotations

import pytest

from edgeloop.labeling.tracks.persistence import Persistence


def test_without_observations_a_score_stays() -> None:
    assert Persistence().judged(0.37, 0.2) == pytest.approx(0.37)


def test_where_mistakes_are_short_lived_that_counts() -> None:
    persistence = Persistence()
    for _ in range(100):
        persistence.observe(0.9, 1.0)
        persistence.observe(0.2, 0.1)
    assert persistence.judged(0.4, 1.0) > 0.5
    assert persistence.judged(0.4, 0.1) < 0.2


def test_where_everything_is_short_lived_it_does_not() -> None:
    persistence = Persistence()
    for score in (0.9, 0.2) * 100:
        persistence.observe(score, 0.1)
    assert persistence.judged(0.4, 0.1) == pytest.approx(0.4)


def test_of_few_observations_not_much_is_believed() -> None:
    few, many = Persistence(), Persistence()
    for persistence, times in ((few, 1), (many, 100)):
        for _ in range(times):
            persistence.observe(0.9, 1.0)
            persistence.observe(0.1, 0.1)
    assert 0.4 < few.judged(0.4, 1.0) < many.judged(0.4, 1.0)
