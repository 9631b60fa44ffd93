"""Figures of the benchmark of doubt: ranks with and without ties."""

from __future__ import annotations

import numpy as np
import pytest

from doubt import auc, mean_of_top


def test_a_perfect_order_a_reversed_one_and_none() -> None:
    positive = np.array([True, True, False, False])
    assert auc(positive, np.array([0.9, 0.8, 0.2, 0.1])) == 1.0
    assert auc(positive, np.array([0.1, 0.2, 0.8, 0.9])) == 0.0
    assert auc(positive, np.zeros(4)) == 0.5
    assert np.isnan(auc(np.ones(4, bool), np.zeros(4)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([4.0, 3.0, 2.0, 1.0], 2.0, id="the first two"),
        pytest.param([0.0, 0.0, 0.0, 0.0], 1.0, id="any two of equal ones"),
        pytest.param([5.0, 1.0, 1.0, 1.0], 3 / 2 + 1 / 6, id="one, and any of the others"),
    ],
)
def test_the_top_has_a_mean_also_among_equal_values(values: list[float], expected: float) -> None:
    figures = np.array([3.0, 1.0, 0.0, 0.0])
    assert mean_of_top(figures, np.array(values), count=2) == pytest.approx(expected)
