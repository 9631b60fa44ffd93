"""Calibration of label scores: logistic regression on class, SAM and prompter scores, one per prompter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.dedupe import deduplicate
from edgeloop.labeling.prompts import DetectorPrompter
from edgeloop.labeling.scoring.held_out import HeldOutFrame
from edgeloop.models.boxes import iou_matrix

__all__ = ["ScoreCalibrator", "fit_calibrator"]

_HIT_IOU = 0.5
_LEAST_CASES = 10  # right and wrong ones each; with fewer there is nothing to learn weights from
_LIMIT = 1e-3  # probabilities are taken no surer than this

Weights = tuple[float, ...]
"""Bias, then the weight of each opinion's log odds: the class model's, SAM's of its mask, and the prompter's
if it has one."""

_PLAIN_ALONE: Weights = (0.0, 1.0, 0.0)
_PLAIN_BOTH: Weights = (0.0, 0.5, 0.0, 0.5)


class ScoreCalibrator:
    """Combines scores into one probability: for each prompter a logistic regression on their log odds."""

    def __init__(self, weights: Mapping[str, Weights] | None = None) -> None:
        """Set the weights by the name of the prompter; others have default ones."""
        self._weights = {source: np.array(own, np.float32) for source, own in (weights or {}).items()}

    def scores(self, candidates: Sequence[Candidate], looks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrate the scores of candidates.

        Args:
            candidates: Of one frame.
            looks: float32 (N, classes), what the class model says.

        Returns:
            float32 (N, classes) in [0, 1].
        """
        scores = np.empty_like(looks)
        for row, candidate in enumerate(candidates):
            plain = _PLAIN_ALONE if candidate.class_scores is None else _PLAIN_BOTH
            weights = self._weights.get(candidate.source, np.array(plain, np.float32))
            log_odds = weights[0] + weights[1:] @ _opinions(candidate, looks[row])
            scores[row] = 1 / (1 + np.exp(-log_odds))
        return scores


def fit_calibrator(
    held_out: Sequence[HeldOutFrame],
    looks: Sequence[NDArray[np.float32]],
    fitted: Sequence[NDArray[np.float32]],
) -> ScoreCalibrator:
    """Fit the weights of the scores on held-out exemplar frames.

    Args:
        held_out: What was found on the exemplar frames.
        looks: For each of them (N, classes), what a class model says that has not seen the frame.
        fitted: For each of them (N, 4), the boxes where a fitter moves them that has not seen the frame.

    Returns:
        The calibrator; with default weights for prompters with only one frame or too few cases, and for a
        detector: it was trained on these very frames, where it is right more often than elsewhere.
    """
    weights: dict[str, Weights] = {}
    found_by = {candidate.source for one in held_out for candidate in one.found}
    sources = found_by - {DetectorPrompter.name}
    frames = {one.frame.number for one in held_out}
    for source in sorted(sources) if len(frames) > 1 else ():
        cases = [
            case
            for one, own, boxes in zip(held_out, looks, fitted, strict=True)
            for case in _cases(one, own, boxes, source)
        ]
        right = np.array([hit for _, hit in cases], bool)
        if min(right.sum(), (~right).sum()) >= _LEAST_CASES:
            model = LogisticRegression().fit(np.stack([opinions for opinions, _ in cases]), right)
            weights[source] = (float(model.intercept_[0]), *model.coef_[0].tolist())
    return ScoreCalibrator(weights)


def _cases(
    one: HeldOutFrame, looks: NDArray[np.float32], fitted: NDArray[np.float32], source: str
) -> list[tuple[NDArray[np.float32], bool]]:
    """Opinions of what would have been labeled, and whether that would have been right."""
    rows = [row for row, candidate in enumerate(one.found) if candidate.source == source]
    found = [one.found[row] for row in rows]
    plain = ScoreCalibrator().scores(found, looks[rows])
    best, class_id = plain.max(axis=1, initial=0), plain.argmax(axis=1)
    free = np.ones(len(one.frame.xyxy), bool)
    cases = []
    kept = deduplicate(found, best, class_id)
    moved = [replace(found[row], xyxy=fitted[rows[row]]) for row in kept]
    for row in (kept[number] for number in deduplicate(moved, best[kept], class_id[kept])):
        overlap = iou_matrix(fitted[rows[row]][None], one.frame.xyxy)[0]
        overlap[~free | (one.frame.class_id != class_id[row])] = 0
        hit = bool(overlap.max(initial=0) >= _HIT_IOU)
        if hit:
            free[overlap.argmax()] = False
        cases.append((_opinions(found[row], looks[rows[row]])[:, class_id[row]], hit))
    return cases


def _opinions(candidate: Candidate, looks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log odds (2 or 3, classes)."""
    opinions = [looks, np.full_like(looks, candidate.sam_score)]
    if candidate.class_scores is not None:
        opinions.append(candidate.class_scores)
    limited = np.clip(np.stack(opinions), _LIMIT, 1 - _LIMIT)
    return np.asarray(np.log(limited / (1 - limited)), np.float32)
