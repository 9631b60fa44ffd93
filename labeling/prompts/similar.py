"""Prompts where the frame looks like an exemplar: a few-shot detector on frozen features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge.evaluate import coco_results, evaluate_boxes
from labeling.exemplars import Exemplars
from labeling.features import extract, prepared, working_size
from labeling.prompts.head import CentreHead, decode_boxes, mean_output, stacked
from labeling.prompts.learning import train_heads
from labeling.prompts.lessons import Lesson, View, take_lessons, turned_lessons
from labeling.prompts.prompt import Prompts
from models.boxes import clip_boxes, nms
from models.detections import Detections

__all__ = ["TRAINING_STEPS", "SimilarPrompter"]

TRAINING_STEPS = 3600
"""Steps that `SimilarPrompter.fit` takes, those of its trials included."""

_SMALL_SIDE_PX = 24  # how large the smaller objects should appear to the backbone
_LONG_SIDES_PX = (512, 1536)
_LEAST_PROBABILITY = 0.05
_NMS_IOU = 0.6
_MOST_PROMPTS = 100
_TRIAL = 1 / 6  # of the steps, for each of two trials


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

        Whether things lie any way up, as below a camera that looks down, is tried on frames that were left
        out: where they do, turned views teach more; where they do not, those are what cars never look like.

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
        scale, classes = _working_scale(views), len(exemplars.names)

        def learnt(lessons: Sequence[Lesson], share: float) -> SimilarPrompter:
            steps = round(TRAINING_STEPS * share)
            return cls(train_heads(lessons, classes, steps, seed=seed, advance=advance), scale)

        rng = np.random.default_rng(seed)
        upright = take_lessons(views, classes, scale, rng)
        if len(views) == 1:  # none is left to try on
            return learnt(upright, 1.0)
        turned = upright + turned_lessons(views, classes, scale, rng)
        tried = [learnt(lessons, _TRIAL)._score_unseen(views, classes) for lessons in (upright, turned)]
        return learnt(turned if tried[1] > tried[0] else upright, 1 - 2 * _TRIAL)

    def propose(self, image: NDArray[np.uint8]) -> tuple[Prompts, ...]:
        """See `Prompter.propose`."""
        return (Prompts(self.name, *self._look(image, self._heads)),)

    def rehearse(self, image: NDArray[np.uint8], frame: int) -> tuple[Prompts, ...]:
        """See `Prompter.rehearse`."""
        return (Prompts(self.name, *self._look(image, self._unseen(frame))),)

    def _unseen(self, frame: int) -> Sequence[CentreHead]:
        """The heads that have not seen an exemplar frame."""
        return [self._heads[frame % len(self._heads)]]

    @torch.inference_mode()
    def _look(
        self, image: NDArray[np.uint8], heads: Sequence[CentreHead]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes (N, 4) in pixels of the image, and how much each looks like each class (N, classes)."""
        height, width = image.shape[:2]
        size = working_size(image, self._scale)
        maps = stacked(extract(prepared(image, size)))
        xyxy, scores = decode_boxes(mean_output([head(maps) for head in heads]), _LEAST_PROBABILITY)
        to_image = np.array([width / size[0], height / size[1]] * 2, np.float32)
        boxes = clip_boxes(xyxy.numpy() * to_image, width, height)
        probability = scores.numpy()
        kept = nms(boxes, probability.max(axis=1, initial=0), None, _NMS_IOU, limit=_MOST_PROMPTS)
        return boxes[kept], probability[kept]

    def _score_unseen(self, views: Sequence[View], classes: int) -> float:
        """Average precision (mAP50) on the frames that it learnt from, each as if it had never been seen."""
        objects: list[dict[str, Any]] = []
        found: list[dict[str, Any]] = []
        for number, view in enumerate(views):
            sure = np.ones(len(view.xyxy), np.float32)
            objects += coco_results(number, Detections(view.xyxy, sure, view.class_id))
            xyxy, scores = self._look(view.image, self._unseen(number))
            of_class = Detections(xyxy, scores.max(axis=1), scores.argmax(axis=1))
            found += coco_results(number, of_class)
        truth = {
            "images": [{"id": number} for number in range(len(views))],
            "categories": [{"id": class_id, "name": str(class_id)} for class_id in range(classes)],
            "annotations": objects,
        }
        return evaluate_boxes(truth, found).map50


def _working_scale(views: Sequence[View]) -> float:
    """Enlarge until the smaller objects are large enough for stride 8, within what a CPU can bear."""
    sides = np.concatenate([np.sqrt((v.xyxy[:, 2:] - v.xyxy[:, :2]).prod(axis=1)) for v in views])
    long_side = max(views[0].image.shape)
    low, high = (limit / long_side for limit in _LONG_SIDES_PX)
    return float(np.clip(_SMALL_SIDE_PX / np.quantile(sides, 0.1), low, high))
