"""Persistence as evidence: objects stay in view frame after frame, false positives do not.

How much that says differs with the footage: on a queue of cars a lone box is suspicious, among parts that
cross the picture in three frames it is not. So it is learned from the clip itself, without anybody's help, by
one step of expectation maximization: each label counts as right with its score and as wrong with the rest.
"""

from __future__ import annotations

import numpy as np

__all__ = ["Persistence"]

_BINS = 6  # of the share of frames
_PRIOR_COUNT = 10.0  # labels that say nothing: of few observations not much is believed
_LIMIT = 1e-3  # scores are taken no surer than this


class Persistence:
    """Likelihood ratio of being seen in a share of the frames around, right labels against wrong ones."""

    def __init__(self) -> None:
        self._right = np.zeros(_BINS)
        self._wrong = np.zeros(_BINS)

    def observe(self, score: float, share_seen: float) -> None:
        """Add a label to the statistics.

        Args:
            score: How sure it is without this evidence, in [0, 1].
            share_seen: Of the frames around it, in how many its object is seen, in (0, 1].
        """
        self._right[_bin(share_seen)] += score
        self._wrong[_bin(share_seen)] += 1 - score

    def judged(self, score: float, share_seen: float) -> float:
        """Update a score by Bayes' rule.

        Args:
            score: How sure a label is without this evidence, in [0, 1].
            share_seen: Of the frames around it, in how many its object is seen, in (0, 1].

        Returns:
            How sure it is with the evidence, in [0, 1]; the same score where nothing was observed.
        """
        limited = min(max(score, _LIMIT), 1 - _LIMIT)
        odds = limited / (1 - limited) * self._ratio(_bin(share_seen))
        return odds / (1 + odds)

    def _ratio(self, number: int) -> float:
        both = self._right + self._wrong
        if not both.sum():
            return 1.0
        usual = _PRIOR_COUNT * both / both.sum()
        right, wrong = (
            (own[number] + usual[number]) / (own.sum() + _PRIOR_COUNT) for own in (self._right, self._wrong)
        )
        return float(right / wrong) if wrong else 1.0


def _bin(share_seen: float) -> int:
    return min(int(share_seen * _BINS), _BINS - 1)
