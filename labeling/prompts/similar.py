"""Prompts from a few-shot detector on frozen features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from edgeloop.labeling.candidates.exemplar_masks import ExemplarMasks
from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.features.backbone import extract_features, preprocess, working_size
from edgeloop.labeling.prompts.center_head import CenterHead, decode_boxes, mean_output, stacked
from edgeloop.labeling.prompts.train_heads import train_heads, unseeing, unseen_loss
from edgeloop.labeling.prompts.training_views import Lesson, View, any_way_lessons, take_lessons, view_of
from edgeloop.models.boxes import clip_boxes, nms

__all__ = ["TRAINING_STEPS", "SimilarPrompter"]

TRAINING_STEPS = 3600
"""Steps that `SimilarPrompter.fit` takes, those of its trials included."""

_SMALL_SIDE_PX = 24  # how large the smaller objects should appear to the backbone
_LONG_SIDES_PX = (512, 1536)
_LEAST_PROBABILITY = 0.05
_NMS_IOU = 0.6
_MOST_PROMPTS = 100
_MORE_ANY_WAY = 2  # times the lessons of the trial; with five times nothing was found that was not before
_MANY_FRAMES = 10  # show enough without
_TRIAL = 1 / 6  # of the steps, for each of two trials
_CLEARLY_LESS = 0.93  # times the loss: 0.77 to 0.85 on four belts, 1.06 on a street


class SimilarPrompter:
    """Boxes around objects like the exemplars, with a probability for each class."""

    name = "similar"

    def __init__(self, heads: Sequence[CenterHead], scale: float, *, any_way: bool = False) -> None:
        """Keep trained heads.

        Args:
            heads: Trained on the exemplars by `train_heads`.
            scale: Working pixels for a pixel of the frame.
            any_way: True if objects appear in any orientation.
        """
        self._heads = heads
        self._scale = scale
        self.any_way = any_way

    @classmethod
    def fit(
        cls,
        frames: Sequence[ExemplarMasks],
        classes: int,
        *,
        seed: int = 0,
        advance: Callable[[int], None] = lambda _: None,
    ) -> SimilarPrompter:
        """Train on a person's boxes.

        If objects appear in any orientation (overhead cameras), rotated copy-paste augmentation is added;
        this is decided on held-out exemplar frames.

        Args:
            frames: Everything outside their boxes is background; boxes of what must not be labeled are too.
            classes: Number of classes to label.
            seed: Random seed.
            advance: Called with the number of training steps done, `TRAINING_STEPS` in all.
        """
        views = [view_of(frame) for frame in frames]
        scale = _working_scale(views)

        def trained(lessons: Sequence[Lesson], share: float) -> list[CenterHead]:
            return train_heads(lessons, classes, round(TRAINING_STEPS * share), seed=seed, advance=advance)

        rng = np.random.default_rng(seed)
        upright = take_lessons(views, classes, scale, rng)
        if len(views) == 1:  # none is left to try on
            return cls(trained(upright, 1.0), scale)
        varied = upright + any_way_lessons(frames, classes, scale, rng)
        tried = [unseen_loss(trained(lessons, _TRIAL), upright) for lessons in (upright, varied)]
        if tried[1] > _CLEARLY_LESS * tried[0]:
            return cls(trained(upright, 1 - 2 * _TRIAL), scale)
        if len(frames) < _MANY_FRAMES:
            varied += any_way_lessons(frames, classes, scale, rng, times=_MORE_ANY_WAY)
        return cls(trained(varied, 1 - 2 * _TRIAL), scale, any_way=True)

    def propose(self, image: NDArray[np.uint8]) -> tuple[Prompts, ...]:
        """See `Prompter.propose`."""
        return (Prompts(self.name, *self._look(image, self._heads)),)

    def propose_held_out(self, image: NDArray[np.uint8], frame: int) -> tuple[Prompts, ...]:
        """See `Prompter.propose_held_out`."""
        return (Prompts(self.name, *self._look(image, [unseeing(self._heads, frame)])),)

    @torch.inference_mode()
    def _look(
        self, image: NDArray[np.uint8], heads: Sequence[CenterHead]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes (N, 4) in pixels of the image, and how much each looks like each class (N, classes)."""
        height, width = image.shape[:2]
        size = working_size(image, self._scale)
        maps = stacked(extract_features(preprocess(image, size)))
        xyxy, scores = decode_boxes(mean_output([head(maps) for head in heads]), _LEAST_PROBABILITY)
        to_image = np.array([width / size[0], height / size[1]] * 2, np.float32)
        boxes = clip_boxes(xyxy.numpy() * to_image, width, height)
        probability = scores.numpy()
        kept = nms(boxes, probability.max(axis=1, initial=0), None, _NMS_IOU, limit=_MOST_PROMPTS)
        return boxes[kept], probability[kept]


def _working_scale(views: Sequence[View]) -> float:
    """Enlarge until the smaller objects are large enough for stride 8, within what a CPU can bear."""
    sides = np.concatenate([np.sqrt((v.xyxy[:, 2:] - v.xyxy[:, :2]).prod(axis=1)) for v in views])
    long_side = max(views[0].image.shape)
    low, high = (limit / long_side for limit in _LONG_SIDES_PX)
    return float(np.clip(_SMALL_SIDE_PX / np.quantile(sides, 0.1), low, high))
