"""How likely a candidate is a right label, given what the prompter and the class model say of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from labeling.candidates import Candidate
from labeling.cleaning import without_repeats
from labeling.rehearsal import Rehearsal
from models.boxes import iou_matrix

__all__ = ["Judge", "learn_judge"]

_HIT_IOU = 0.5
_LEAST_CASES = 10  # right and wrong ones each; with fewer there is nothing to learn weights from
_PLAIN_WEIGHTS = (0.0, 0.5, 0.5)
_LIMIT = 1e-3  # probabilities are taken no surer than this


class Judge:
    """Joins the two opinions into one probability: a logistic regression on their log odds."""

    def __init__(self, weights: tuple[float, float, float] = _PLAIN_WEIGHTS) -> None:
        """Args:
        weights: Bias, and the weights of the prompter's and of the class model's log odds.
        """
        self._weights = weights

    def scores(self, candidates: Sequence[Candidate], looks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Judge candidates.

        Args:
            candidates: Of one frame.
            looks: float32 (N, classes), what the class model says.

        Returns:
            float32 (N, classes) in [0, 1]. Where a prompter knows no classes, looks are all there is.
        """
        scores = looks.copy()
        bias, of_prompter, of_looks = self._weights
        for row, candidate in enumerate(candidates):
            if candidate.class_scores is not None:
                evidence = of_prompter * _log_odds(candidate.class_scores) + of_looks * _log_odds(looks[row])
                scores[row] = 1 / (1 + np.exp(-bias - evidence))
        return scores


def learn_judge(rehearsals: Sequence[Rehearsal], looks: Sequence[NDArray[np.float32]]) -> Judge:
    """Learn how far to trust each opinion, from frames on which both were formed without having seen them.

    Args:
        rehearsals: What was found on the exemplar frames.
        looks: For each of them (N, classes), what a class model says that has not seen the frame.

    Returns:
        The judge; one with plain weights where one frame or too few cases leave nothing to learn from.
    """
    if len(rehearsals) < 2:
        return Judge()
    cases = [_cases(rehearsal, own) for rehearsal, own in zip(rehearsals, looks, strict=True)]
    evidence = np.concatenate([case[0] for case in cases])
    right = np.concatenate([case[1] for case in cases])
    if min(right.sum(), (~right).sum()) < _LEAST_CASES:
        return Judge()
    model = LogisticRegression().fit(evidence, right)
    of_prompter, of_looks = model.coef_[0].tolist()
    return Judge((float(model.intercept_[0]), of_prompter, of_looks))


def _cases(rehearsal: Rehearsal, looks: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Both log odds (N, 2) of what would have been labelled, and whether that would have been right."""
    rows = [row for row, candidate in enumerate(rehearsal.found) if candidate.class_scores is not None]
    found = [rehearsal.found[row] for row in rows]
    plain = Judge().scores(found, looks[rows])
    best, class_id = plain.max(axis=1, initial=0), plain.argmax(axis=1)
    free = np.ones(len(rehearsal.frame.xyxy), bool)
    evidence, right = [], []
    for row in without_repeats(found, best, class_id):
        overlap = iou_matrix(found[row].xyxy[None], rehearsal.frame.xyxy)[0]
        overlap[~free | (rehearsal.frame.class_id != class_id[row])] = 0
        hit = bool(overlap.max(initial=0) >= _HIT_IOU)
        if hit:
            free[overlap.argmax()] = False
        class_scores = found[row].class_scores
        if class_scores is not None:
            opinions = (class_scores[class_id[row]], looks[rows[row], class_id[row]])
            evidence.append(_log_odds(np.array(opinions, np.float32)))
            right.append(hit)
    return np.array(evidence, np.float32).reshape(-1, 2), np.array(right, bool)


def _log_odds(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    limited = np.clip(probability, _LIMIT, 1 - _LIMIT)
    return np.asarray(np.log(limited / (1 - limited)), np.float32)
