"""Box regression toward the way in which the person draws boxes.

The box regression of R-CNN (Girshick et al., 2014): from frozen features of a crop around a box, a ridge
regression tells how far each side is off. It learns from the person's boxes, each shifted at random, and so
also learns what belongs to a box: whether a shadow does, or a mirror, or what is hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.features.backbone import extract_features, preprocess
from edgeloop.labeling.features.crop import square_sides, to_square, warp
from edgeloop.labeling.inputs.exemplars import ExemplarFrame
from edgeloop.models.boxes import clip_boxes, iou_matrix

__all__ = ["BoxRegressor", "fit_box_regressors", "refine_boxes"]

_SIDE_PX = 96
_AT_ONCE = 64
_PROFILED = (1, 2)  # levels of the features, strides 8 and 16
_SHIFTED = 12  # boxes made of each drawn one, and as many of its mirror image
_MOST_EXAMPLES = 2000  # more cost time and memory, and tell little new
_ERROR = 0.12  # of the length of a side, standard deviation by which it is shifted
_LEAST_IOU = 0.35  # of a shifted box with the drawn one; beyond, it shows something else
_STRENGTH = 2.0  # regularization for each feature
_LEAST_SPREAD = 1e-3  # of a feature: what hardly varies on the exemplars must not shout on other frames
_LEAST_SIDE_PX = 1.0


class _Examples(NamedTuple):
    """Features (N, D), and by how much (N, 4) the sides are off, in sides of the crop."""

    features: NDArray[np.float32]
    shifts: NDArray[np.float32]


class BoxRegressor:
    """Refines the sides of boxes."""

    def __init__(self, mean: NDArray[np.float32], spread: NDArray[np.float32], regression: Ridge) -> None:
        """Keep a fitted regression.

        Args:
            mean: float32 (D,), mean of the features of boxes.
            spread: float32 (D,), their standard deviation.
            regression: From standardized features to shifts.
        """
        self._mean = mean
        self._spread = spread
        self._regression = regression

    def fitted(self, image: NDArray[np.uint8], xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fit boxes to the objects that they show.

        Args:
            image: HxWx3 uint8 BGR.
            xyxy: float32 (N, 4), pixels of the image.

        Returns:
            float32 (N, 4), in their order, inside the image.
        """
        if not len(xyxy):
            return xyxy
        features = (_features(image, xyxy) - self._mean) / self._spread
        shifts = self._regression.predict(features) * square_sides(xyxy)[:, None]
        moved = clip_boxes((xyxy + shifts).astype(np.float32), image.shape[1], image.shape[0])
        sound = (moved[:, 2:] - moved[:, :2]).min(axis=1) >= _LEAST_SIDE_PX
        return np.where(sound[:, None], moved, xyxy)


def fit_box_regressors(
    frames: Sequence[ExemplarFrame], *, seed: int = 0
) -> tuple[BoxRegressor, list[BoxRegressor]]:
    """Fit regressors to a person's boxes.

    Args:
        frames: With at least one box of a class to label.
        seed: Random seed.

    Returns:
        The fitter, and for each frame one that has not seen it; the same one where no other has boxes.
    """
    rng = np.random.default_rng(seed)
    boxes = sum(int((frame.class_id >= 0).sum()) for frame in frames)
    times = int(np.clip(_MOST_EXAMPLES // (2 * boxes), 1, _SHIFTED))
    examples = [_examples(frame, times, rng) for frame in frames]
    fitter = _learned(examples)
    unseen = []
    for number in range(len(frames)):
        others = [*examples[:number], *examples[number + 1 :]]
        unseen.append(_learned(others) if any(len(part.shifts) for part in others) else fitter)
    return fitter, unseen


def refine_boxes(
    fitter: BoxRegressor, image: NDArray[np.uint8], found: Sequence[Candidate]
) -> NDArray[np.float32]:
    """Move the boxes of candidates half of the way to the regressed ones.

    Args:
        fitter: Learned from the person's boxes.
        image: HxWx3 uint8 BGR.
        found: In that image.

    Returns:
        float32 (N, 4), in their order, inside the image.
    """
    boxes = np.array([candidate.xyxy for candidate in found], np.float32).reshape(-1, 4)
    return np.asarray((boxes + fitter.fitted(image, boxes)) / 2, np.float32)


def _examples(frame: ExemplarFrame, times: int, rng: np.random.Generator) -> _Examples:
    image = frame.image()
    drawn = frame.xyxy[frame.class_id >= 0]
    mirrored = drawn.copy()
    mirrored[:, [0, 2]] = image.shape[1] - drawn[:, [2, 0]]
    features, shifts = [], []
    for seen, boxes in ((image, drawn), (np.ascontiguousarray(image[:, ::-1]), mirrored)):
        true = np.repeat(boxes, times, axis=0)
        lengths = np.tile(true[:, 2:] - true[:, :2], 2)
        rough = (true + lengths * rng.normal(0, _ERROR, true.shape)).astype(np.float32)
        overlap = iou_matrix(rough, boxes)[np.arange(len(rough)), np.arange(len(rough)) // times]
        rough, true = rough[overlap > _LEAST_IOU], true[overlap > _LEAST_IOU]
        features.append(_features(seen, rough))
        shifts.append((true - rough) / square_sides(rough)[:, None])
    return _Examples(np.concatenate(features), np.concatenate(shifts))


def _learned(examples: Sequence[_Examples]) -> BoxRegressor:
    shown = [part for part in examples if len(part.shifts)]
    features = np.concatenate([part.features for part in shown])
    mean, spread = features.mean(axis=0), features.std(axis=0) + _LEAST_SPREAD
    regression = Ridge(alpha=_STRENGTH * features.shape[1])
    regression.fit((features - mean) / spread, np.concatenate([part.shifts for part in shown]))
    return BoxRegressor(mean, spread, regression)


def _features(image: NDArray[np.uint8], xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (N, D): profiles of the features of each crop along both axes, and the box's proportions."""
    if not len(xyxy):
        return np.empty((0, 0), np.float32)
    parts = []
    for start in range(0, len(xyxy), _AT_ONCE):
        boxes = xyxy[start : start + _AT_ONCE]
        crops = [warp(image, to_square(box, _SIDE_PX), _SIDE_PX, 127) for box in boxes]
        levels = extract_features(torch.cat([preprocess(crop, (_SIDE_PX, _SIDE_PX)) for crop in crops]))
        profiles = [levels[level].mean(dim=axis).flatten(1).numpy() for level in _PROFILED for axis in (2, 3)]
        sides = boxes[:, 2:] - boxes[:, :2]
        parts.append(np.concatenate([*profiles, sides / sides.max(axis=1, keepdims=True)], axis=1))
    return np.concatenate(parts).astype(np.float32)
