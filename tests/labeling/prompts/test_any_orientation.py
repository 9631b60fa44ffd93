"""Whether things lie any way up is found out from the exemplars alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.labeling.candidates.exemplar_masks import ExemplarMasks
from edgeloop.labeling.prompts import SimilarPrompter
from edgeloop.labeling.prompts.center_head import CenterHead
from edgeloop.labeling.prompts.train_heads import train_heads
from edgeloop.labeling.prompts.training_views import Lesson, View, turned
from edgeloop.models.boxes import iou_matrix

WIDTH, HEIGHT, SIDE = 320, 256, 48
ARROW = np.array([[0.5, 0.0], [1.0, 0.6], [0.65, 0.6], [0.65, 1.0], [0.35, 1.0], [0.35, 0.6], [0.0, 0.6]])

Scene = tuple[NDArray[np.uint8], NDArray[np.float32]]


def scene(seed: int, quarters: Sequence[int]) -> Scene:
    """Arrows on a rough ground, each turned by so many quarters; and their boxes."""
    rng = np.random.default_rng(seed)
    image = rng.integers(60, 100, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    places = rng.permutation(15)[: len(quarters)]
    corners = np.stack((places % 5 * 64 + 8, places // 5 * 80 + 16), axis=1)
    for turns, corner in zip(quarters, corners, strict=True):
        around = (ARROW - 0.5) @ np.array([[0, 1], [-1, 0]]) if turns % 2 else ARROW - 0.5
        around = -around if turns >= 2 else around
        shape = np.round((around + 0.5) * SIDE + corner).astype(np.int32)
        cv2.fillPoly(image, [shape], (200, 180, 160))
    xyxy = np.concatenate((corners, corners + SIDE), axis=1).astype(np.float32)
    return image, xyxy


def learn(scenes: Sequence[Scene]) -> SimilarPrompter:
    frames = [
        ExemplarMasks(number, image, xyxy, np.zeros(len(xyxy), np.int64), [None] * len(xyxy))
        for number, (image, xyxy) in enumerate(scenes)
    ]
    return SimilarPrompter.fit(frames, 1)


def sureness(prompter: SimilarPrompter, image: NDArray[np.uint8], xyxy: NDArray[np.float32]) -> list[float]:
    """Of each place, how sure the prompter is of a box there."""
    (prompts,) = prompter.propose(image)
    assert prompts.class_scores is not None
    overlap = iou_matrix(xyxy, prompts.coords) >= 0.5
    return (overlap * prompts.class_scores[:, 0]).max(axis=1, initial=0).tolist()


@pytest.mark.slow
def test_what_lies_any_way_up_is_found_in_ways_that_nobody_drew() -> None:
    prompter = learn([scene(seed, [seed] * 4) for seed in range(3)])
    assert np.median(sureness(prompter, *scene(8, [3] * 8))) > 0.3


@pytest.mark.slow
def test_what_stands_upright_is_not_mistaken_for_what_does_not() -> None:
    """Arrows that point down are no objects here, and lie in every exemplar."""
    mixed = [scene(seed, [0, 0, 0, 0, 2, 2, 2, 2]) for seed in range(4)]
    prompter = learn([(image, xyxy[:4]) for image, xyxy in mixed])
    sure = sureness(prompter, *scene(9, [0, 0, 0, 0, 2, 2, 2, 2]))
    assert np.median(sure[:4]) > 2 * np.median(sure[4:])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frames", "tried", "lessons"),
    [
        pytest.param(2, [0.5, 0.6], [4, 8, 4], id="turning costs"),
        pytest.param(2, [0.5, 0.4], [4, 8, 16], id="turning pays"),
        pytest.param(2, [0.5, 0.49], [4, 8, 4], id="turning is worth next to nothing"),
        pytest.param(1, [], [2], id="no frame to try it on"),
    ],
)
def test_turned_views_are_learned_from_where_that_pays(
    monkeypatch: pytest.MonkeyPatch,
    frames: int,
    tried: list[float],
    lessons: list[int],
) -> None:
    taught: list[int] = []

    def counted(own: Sequence[Lesson], *arguments: Any, **named: Any) -> list[CenterHead]:
        taught.append(len(own))
        return train_heads(own, *arguments, **named)

    losses = iter(tried)
    monkeypatch.setattr("edgeloop.labeling.prompts.training_views._VIEWS", 2)
    monkeypatch.setattr("edgeloop.labeling.prompts.similar.TRAINING_STEPS", 36)
    monkeypatch.setattr("edgeloop.labeling.prompts.similar.train_heads", counted)
    monkeypatch.setattr("edgeloop.labeling.prompts.similar.unseen_loss", lambda *_: next(losses))
    prompter = learn([scene(seed, [0, 0]) for seed in range(frames)])
    assert taught == lessons
    assert prompter.any_way == (lessons[-1] == 16)
    assert next(losses, None) is None


def test_boxes_turn_with_their_objects() -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[40:80, 64:148] = 255
    view = View(image, np.array([[64, 40, 148, 80]], np.float32), np.zeros(1, np.int64))
    rng, ways = np.random.default_rng(0), set()
    for _ in range(40):
        seen = turned(view, rng)
        x1, y1, x2, y2 = seen.xyxy[0].astype(int).tolist()
        assert (seen.image[y1:y2, x1:x2] == 255).all()
        assert seen.image.sum() == image.sum()
        ways.add((x1, y1, x2, y2))
    assert len(ways) == 4
