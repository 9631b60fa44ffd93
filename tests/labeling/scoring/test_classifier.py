"""Classes from exemplar frames, learned on embeddings that ship."""

from __future__ import annotations

import numpy as np
import pytest

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.features.embedding import Lite0
from edgeloop.labeling.scoring.classifier import ClassExamples, ClassModel, fit_classes

RED, BLUE, GREEN = (30, 30, 230), (230, 60, 30), (40, 200, 40)
SIDE = 30
PLACES = {"red": (10, 10), "blue": (60, 20), "ignored": (20, 70), "other": (110, 60)}


def example(seed: int, *, masks: bool = False, background: bool = True) -> ClassExamples:
    """A red and a blue square, a green one to be ignored, and a yellow one in which no object is."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 140, (120, 160, 3), np.uint8)
    boxes = []
    for (x, y), color in zip(PLACES.values(), (RED, BLUE, GREEN, (0, 220, 220)), strict=True):
        x, y = x + int(rng.integers(8)), y + int(rng.integers(8))
        image[y : y + SIDE, x : x + SIDE] = color
        boxes.append([x, y, x + SIDE, y + SIDE])
    xyxy = np.array(boxes, np.float32)
    drawn = [CroppedMask.from_box(box) for box in xyxy[:3]] if masks else ()
    wrong = xyxy[3:] if background else np.empty((0, 4), np.float32)
    return ClassExamples(image, xyxy[:3], np.array([0, 1, -1]), drawn, wrong)


def candidates(shown: ClassExamples) -> list[Candidate]:
    boxes = (*shown.xyxy, *shown.background)
    return [Candidate(box, None, False, 0.0, "similar") for box in boxes]


def fit(classes: int, shown: list[ClassExamples]) -> ClassModel:
    return fit_classes(classes, shown, Lite0(), np.random.default_rng(0))


@pytest.fixture(scope="module")
def model() -> ClassModel:
    return fit(2, [example(seed) for seed in range(3)])


@pytest.mark.parametrize("masks", [pytest.param(True, id="masks"), pytest.param(False, id="boxes")])
def test_classes_of_another_frame_are_told_apart(masks: bool) -> None:
    model = fit(2, [example(seed, masks=masks) for seed in range(3)])
    shown = example(9)
    rows = model.probabilities(shown.image, candidates(shown))
    assert rows.dtype == np.float32
    assert rows.shape == (4, 2)
    assert rows[0, 0] > 0.7
    assert rows[1, 1] > 0.7
    assert rows[2:].max() < 0.3, "neither the ignored nor the background"
    assert (rows.sum(axis=1) <= 1).all()


def test_false_positives_are_learned_as_background(model: ClassModel) -> None:
    shown = example(9)
    (other,) = candidates(shown)[3:]
    without = fit(2, [example(seed, background=False) for seed in range(3)])
    assert model.probabilities(shown.image, [other]).sum() < without.probabilities(shown.image, [other]).sum()


def test_false_positives_on_an_object_are_left_out() -> None:
    shown = [example(seed) for seed in range(2)]
    on_objects = [one._replace(background=np.concatenate((one.background, one.xyxy + 2))) for one in shown]
    expected, rows = (
        fit(2, own).probabilities(shown[0].image, candidates(shown[0])) for own in (shown, on_objects)
    )
    np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_class_that_no_frame_shows_has_no_probability() -> None:
    shown = example(0)
    model = fit(3, [shown])
    assert model.probabilities(shown.image, candidates(shown))[:, 2].max() == 0


def test_nothing_to_classify(model: ClassModel) -> None:
    assert model.probabilities(example(0).image, []).shape == (0, 2)


def test_same_seed_same_model(model: ClassModel) -> None:
    shown = example(5)
    again = fit(2, [example(seed) for seed in range(3)])
    np.testing.assert_array_equal(
        model.probabilities(shown.image, candidates(shown)),
        again.probabilities(shown.image, candidates(shown)),
    )
