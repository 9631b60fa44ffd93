"""Boxes carried over from the frame before."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.labeling.ledger import Label
from edgeloop.labeling.prompts import PropagatePrompter, check_prompters
from edgeloop.models.errors import UsageError

WIDTH, HEIGHT, SIDE = 480, 320, 60


def scene(x: int, y: int, *, side: int = SIDE, seed: int = 1) -> NDArray[np.uint8]:
    """A patterned square at a place of a ground with another pattern."""
    ground = np.random.default_rng(0).integers(60, 120, (HEIGHT // 8, WIDTH // 8, 3)).astype(np.uint8)
    thing = np.random.default_rng(seed).integers(100, 255, (8, 8, 3)).astype(np.uint8)
    image = cv2.resize(ground, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    image[y : y + side, x : x + side] = cv2.resize(thing, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(image, np.uint8)


def label(x: float, y: float, *, class_id: int = 1, score: float = 0.8) -> Label:
    return Label(
        xyxy=(x, y, x + SIDE, y + SIDE), class_id=class_id, score=score, prompt="similar", sam_score=0.9
    )


@pytest.fixture
def carried() -> PropagatePrompter:
    prompter = PropagatePrompter(classes=3)
    prompter.remember(scene(100, 80), [label(100, 80)])
    return prompter


@pytest.mark.parametrize(
    ("x", "y"),
    [pytest.param(100, 80, id="stands"), (113, 77), pytest.param(170, 120, id="farther than wide")],
)
def test_a_box_goes_with_what_it_shows(carried: PropagatePrompter, x: int, y: int) -> None:
    (prompts,) = carried.propose(scene(x, y))
    np.testing.assert_allclose(prompts.coords, [[x, y, x + SIDE, y + SIDE]], atol=1.5)
    assert prompts.class_scores is not None
    np.testing.assert_allclose(prompts.class_scores, [[0, 0.8, 0]])


def test_what_is_large_is_found_too() -> None:
    prompter, side = PropagatePrompter(classes=2), 200
    before = label(40, 60).model_copy(update={"xyxy": (40.0, 60.0, 240.0, 260.0)})
    prompter.remember(scene(40, 60, side=side), [before])
    (prompts,) = prompter.propose(scene(90, 50, side=side))
    np.testing.assert_allclose(prompts.coords, [[90, 50, 90 + side, 50 + side]], atol=4)


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(scene(100, 80, seed=2), id="something else is there"),
        pytest.param(scene(100, 80)[:, :400], id="another size"),
        pytest.param(np.zeros((HEIGHT, WIDTH, 3), np.uint8), id="dark"),
    ],
)
def test_what_is_gone_is_not_carried(carried: PropagatePrompter, after: NDArray[np.uint8]) -> None:
    (prompts,) = carried.propose(np.ascontiguousarray(after))
    assert prompts.coords.shape == (0, 4)
    assert prompts.class_scores is not None
    assert prompts.class_scores.shape == (0, 3)


def test_what_is_as_thin_as_a_line_is_no_trouble() -> None:
    prompter = PropagatePrompter(classes=2)
    line = label(20, 50).model_copy(update={"xyxy": (20.0, 50.0, 460.0, 51.0)})
    prompter.remember(scene(200, 120), [line])
    (prompts,) = prompter.propose(scene(200, 120))
    np.testing.assert_allclose(prompts.coords, [[20, 50, 460, 51]], atol=8)


def test_what_has_left_the_frame_is_not_carried() -> None:
    prompter = PropagatePrompter(classes=3)
    prompter.remember(scene(WIDTH - SIDE, 80), [label(WIDTH - SIDE, 80)])
    (prompts,) = prompter.propose(scene(0, 250))
    assert len(prompts) == 0


def test_nothing_came_before(carried: PropagatePrompter) -> None:
    carried.forget()
    (forgotten,) = carried.propose(scene(100, 80))
    (unseen,) = carried.propose_held_out(scene(100, 80), 0)
    carried.remember(scene(100, 80), [])
    (empty,) = carried.propose(scene(100, 80))
    assert (len(forgotten), len(unseen), len(empty)) == (0, 0, 0)


def test_alone_there_is_nothing_to_carry() -> None:
    with pytest.raises(UsageError, match="none finds the first; name another beside it"):
        check_prompters(["propagate"], [])
