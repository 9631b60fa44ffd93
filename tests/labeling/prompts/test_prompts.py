"""Names of prompters, and the grid."""

from __future__ import annotations

import numpy as np
import pytest

from edgeloop.labeling.prompts import GridPrompter, check_prompters
from edgeloop.models.errors import UsageError


@pytest.mark.parametrize(
    ("size", "points"),
    [
        pytest.param((320, 240), 16 * 12, id="landscape"),
        pytest.param((90, 160), 9 * 16, id="portrait"),
        pytest.param((1600, 10), 16, id="a strip"),
    ],
)
def test_grid(size: tuple[int, int], points: int) -> None:
    (prompts,) = GridPrompter().propose(np.zeros((size[1], size[0], 3), np.uint8))
    assert prompts.coords.shape == (points, 2)
    assert not prompts.are_boxes
    assert prompts.coords.min() > 0
    assert (prompts.coords < size).all()


@pytest.mark.parametrize(
    ("names", "boxed_frames", "told"),
    [
        pytest.param((), True, "expected some of detector, motion, grid, each once", id="none"),
        pytest.param(("motion", "motion"), True, "each once", id="twice"),
        pytest.param(("motion", "magic"), True, "each once", id="unknown"),
        pytest.param(("detector", "motion"), True, "name it alone", id="detector and another"),
        pytest.param(("detector",), False, "needs boxes on whole frames", id="detector without boxes"),
    ],
)
def test_prompters_that_cannot_be_used(names: tuple[str, ...], boxed_frames: bool, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check_prompters(names, boxed_frames=boxed_frames)
