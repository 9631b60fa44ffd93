"""Calibration of the ensemble's scores on held-out exemplar frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.inputs.exemplars import ExemplarFrame
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections

__all__ = ["Calibration", "HeldOut", "fit_calibration", "match", "match_boxes"]

_HIT_IOU = 0.5
_LIMIT = 1e-3  # scores are taken no surer than this
# Log odds of a right label, as bias and slope of the score's log odds: of one member, and of all. A mean over
# members and views is less extreme than they are sure together. Fitted to scenes of many kinds (benchmarks/
# scenes.py); the exemplar frames tell how far a job differs.
_MEMBER = (0.9, 1.35)
_ENSEMBLE = (1.7, 1.5)
_PRIOR_SPREAD = 1.0  # standard deviation of the shift between footage, log odds
_STEPS = 20


class HeldOut(NamedTuple):
    """Exemplar frame with what a member that has not seen it finds there.

    Attributes:
        frame: With a person's boxes.
        found: Detections.
    """

    frame: ExemplarFrame
    found: Detections


class Calibration(NamedTuple):
    """Map from the ensemble's score to the probability that a label is right.

    Attributes:
        shift: Log odds by which this footage is easier than usual.
        spread: Standard deviation of the shift, log odds.
    """

    shift: float
    spread: float = _PRIOR_SPREAD

    def __call__(self, score: NDArray[np.float32], *, member: bool = False) -> NDArray[np.float32]:
        """Compute probabilities (N,) from scores (N,), of all members or of a single one."""
        bias, slope = _MEMBER if member else _ENSEMBLE
        return np.asarray(_sigmoid(bias + self.shift + slope * _log_odds(score)), np.float32)


def fit_calibration(held_out: Sequence[HeldOut]) -> Calibration:
    """Fit the shift by maximum a posteriori logistic regression, Newton's method.

    Its spread allows for errors that frames have in common (White, 1980, by frame).
    """
    scores = np.concatenate([one.found.confidence for one in held_out])
    right = np.concatenate([match(one) >= 0 for one in held_out])
    odds = _MEMBER[0] + _MEMBER[1] * _log_odds(scores)
    shift = 0.0
    for _ in range(_STEPS):
        expected = _sigmoid(odds + shift)
        gradient = (right - expected).sum() - shift / _PRIOR_SPREAD**2
        curvature = (expected * (1 - expected)).sum() + 1 / _PRIOR_SPREAD**2
        shift += float(np.clip(gradient / curvature, -1, 1))
    curvature = (expected * (1 - expected)).sum() + 1 / _PRIOR_SPREAD**2
    ends = np.cumsum([len(one.found) for one in held_out])[:-1]
    of_frames = np.array([part.sum() for part in np.split(right - expected, ends)])
    variance = max(curvature, float((of_frames**2).sum()) + 1 / _PRIOR_SPREAD**2) / curvature**2
    return Calibration(shift, float(np.sqrt(variance)))


def match(one: HeldOut) -> NDArray[np.int64]:
    """Match detections to the person's boxes of their class, greedily by score, each box once.

    Returns:
        int64 (N,), row of the box that each detection matches at an IoU of at least 0.5; -1 for none.
    """
    return match_boxes(one.found, one.frame.xyxy, one.frame.class_id)


def match_boxes(
    found: Detections, xyxy: NDArray[np.float32], class_id: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Match detections to boxes xyxy (M, 4) of classes (M,), as `match` does."""
    overlap = iou_matrix(found.xyxy, xyxy)
    overlap[found.class_id[:, None] != class_id] = 0
    rows = np.full(len(found), -1)
    for row in np.argsort(-found.confidence, kind="stable").tolist():
        if overlap.shape[1] and overlap[row].max() >= _HIT_IOU:
            rows[row] = overlap[row].argmax()
            overlap[:, rows[row]] = 0
    return rows


def _log_odds(score: NDArray[np.float32]) -> NDArray[np.float64]:
    limited = np.clip(score.astype(np.float64), _LIMIT, 1 - _LIMIT)
    return np.asarray(np.log(limited / (1 - limited)))


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-odds)))
