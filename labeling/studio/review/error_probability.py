"""Error probabilities of doubts from their scores, look-alikes and the exemplars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.studio.review.doubts import Doubt

__all__ = ["estimate_errors"]

# Errors in the 50 most doubtful of three scenes: 57 by scores, 75 with the exemplars, 82 with both.
_NEIGHBORS = 8
_NEIGHBORS_SHARE = 0.3  # of the log odds, against the score's own
_UNLIKE = 0.3  # log odds for each standard deviation by which a doubt is less like the exemplars than usual
_FARTHEST, _NEAREST = -4.0, 1.0  # standard deviations that count
_SURE = 0.9
_LEAST_SURE = 5  # labels of a class by which its usual likeness is known
_CLOSE_TO_CERTAIN = 0.02


def estimate_errors(
    doubts: Sequence[Doubt],
    features: NDArray[np.float32],
    drawn: Sequence[Doubt],
    drawn_features: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Estimate the probability that each doubt is an error.

    Args:
        doubts: The doubts; sure labels among them tell how like the exemplars an object usually is.
        features: float32 (N, D), each row of length 1.
        drawn: Labels that a person drew.
        drawn_features: float32 (M, D), each row of length 1.

    Returns:
        float64 (N,) in (0, 1).
    """
    found = np.clip(
        [doubt.object_probability for doubt in doubts], _CLOSE_TO_CERTAIN / 2, 1 - _CLOSE_TO_CERTAIN / 2
    )
    names = np.array([doubt.name for doubt in doubts])
    near = np.clip(_of_neighbors(doubts, names, features, found), _CLOSE_TO_CERTAIN, 1 - _CLOSE_TO_CERTAIN)
    odds = (1 - _NEIGHBORS_SHARE) * _log_odds(found) + _NEIGHBORS_SHARE * _log_odds(near)
    labeled = np.array([doubt.kind == "label" for doubt in doubts])
    drawn_names = np.array([doubt.name for doubt in drawn])
    for name in np.unique(drawn_names):
        own = names == name
        if not own.any():
            continue
        likeness = (features[own] @ drawn_features[drawn_names == name].T).max(axis=1)
        sure = likeness[(labeled & (found > _SURE))[own]]
        if len(sure) >= _LEAST_SURE:
            unlike = (likeness - sure.mean()) / max(float(sure.std()), 0.01)
            odds[own] += _UNLIKE * np.clip(unlike, _FARTHEST, _NEAREST)
    objects = 1 / (1 + np.exp(-odds))
    return np.where(labeled, 1 - objects, objects)


def _of_neighbors(
    doubts: Sequence[Doubt],
    names: NDArray[np.str_],
    features: NDArray[np.float32],
    found: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Mean probability of a doubt's class among its look-alikes on other frames, (N,)."""
    _, frames = np.unique([doubt.file for doubt in doubts], return_inverse=True)
    means = np.empty(len(doubts))
    for start in range(0, len(doubts), 500):
        rows = slice(start, start + 500)
        alike = features[rows] @ features.T
        alike[frames[rows, None] == frames] = -1
        nearest = np.argpartition(-alike, min(_NEIGHBORS, alike.shape[1] - 1), axis=1)[:, :_NEIGHBORS]
        same = names[nearest] == names[rows, None]
        means[rows] = np.where(same, found[nearest], 0).mean(axis=1)
    return means


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(probability / (1 - probability)))
