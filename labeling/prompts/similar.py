"""Prompts where the frame looks like an exemplar: a few-shot detector on frozen features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from labeling.exemplars import Exemplars
from labeling.features import extract, prepared, working_size
from labeling.prompts.head import CentreHead, decode_boxes, mean_output, stacked
from labeling.prompts.learning import View, train_heads
from labeling.prompts.prompt import Prompts
from models.boxes import clip_boxes, nms

__all__ = ["SimilarPrompter"]

_SMALL_SIDE_PX = 24  # how large the smaller objects should appear to the backbone
_LONG_SIDES_PX = (512, 1536)
_LEAST_PROBABILITY = 0.05
_NMS_IOU = 0.6
_MOST_PROMPTS = 100


class SimilarPrompter:
    """Boxes around what looks like an exemplar, with a probability for each class."""

    name = "similar"

    def __init__(self, heads: Sequence[CentreHead], scale: float) -> None:
        """Args:
        heads: Trained on the exemplars by `train_heads`.
        scale: Working pixels for a pixel of the frame.
        """
        self._heads = heads
        self._scale = scale

    @classmethod
    def fit(
        cls, exemplars: Exemplars, *, seed: int = 0, advance: Callable[[int], None] = lambda steps: None
    ) -> SimilarPrompter:
        """Learn from a person's boxes.

        Args:
            exemplars: Everything outside their boxes is background; boxes of `_ignore` are too.
            seed: Of the training.
            advance: Called with the number of training steps done, `TRAINING_STEPS` in all.

        Returns:
            The prompter.
        """
        views = [
            View(frame.image(), frame.xyxy[frame.class_id >= 0], frame.class_id[frame.class_id >= 0])
            for frame in exemplars.frames
        ]
        scale = _working_scale(views)
        return cls(train_heads(views, len(exemplars.names), scale, seed=seed, advance=advance), scale)

    def propose(self, image: NDArray[np.uint8]) -> tuple[Prompts, ...]:
        """See `Prompter.propose`."""
        return (self._ask(image, self._heads),)

    def rehearse(self, image: NDArray[np.uint8], frame: int) -> tuple[Prompts, ...]:
        """See `Prompter.rehearse`."""
        return (self._ask(image, [self._heads[frame % len(self._heads)]]),)

    @torch.inference_mode()
    def _ask(self, image: NDArray[np.uint8], heads: Sequence[CentreHead]) -> Prompts:
        height, width = image.shape[:2]
        size = working_size(image, self._scale)
        maps = stacked(extract(prepared(image, size)))
        xyxy, scores = decode_boxes(mean_output([head(maps) for head in heads]), _LEAST_PROBABILITY)
        to_image = np.array([width / size[0], height / size[1]] * 2, np.float32)
        boxes = clip_boxes(xyxy.numpy() * to_image, width, height)
        probability = scores.numpy()
        kept = nms(boxes, probability.max(axis=1, initial=0), None, _NMS_IOU, limit=_MOST_PROMPTS)
        return Prompts(self.name, boxes[kept], probability[kept])


def _working_scale(views: Sequence[View]) -> float:
    """Enlarge until the smaller objects are large enough for stride 8, within what a CPU can bear."""
    sides = np.concatenate([np.sqrt((v.xyxy[:, 2:] - v.xyxy[:, :2]).prod(axis=1)) for v in views])
    long_side = max(views[0].image.shape)
    low, high = (limit / long_side for limit in _LONG_SIDES_PX)
    return float(np.clip(_SMALL_SIDE_PX / np.quantile(sides, 0.1), low, high))
