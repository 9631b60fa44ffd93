"""Weights of the signs of doubt, learned from mined frames: which of them tell of an error of the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from edgeloop.edge.doubt.frame_doubt import DEFAULT_WEIGHTS
from edgeloop.edge.doubt.judged_frame import SIGNS, Sign
from edgeloop.labeling.mining.mined_frame import MinedFrame

__all__ = ["learn_weights"]

_FEWEST = 30  # frames with an error, and without one
_PRIOR_SPREAD = 1.0  # standard deviation of a weight around its default, log odds
_LEAST, _MOST = 0.01, 0.99
_LEAK = 0.05  # probability of an error without any sign, to begin with


def learn_weights(frames: Sequence[MinedFrame]) -> Mapping[Sign, float] | None:
    """Learn the weights of a ring for `FrameDoubt`, by maximum a posteriori.

    A frame has an error with the probability that at least one of its signs is right, as the device combines
    them, or for no sign at all. Weights of signs that say little stay near their defaults.

    Args:
        frames: Mined frames.

    Returns:
        Weight in [0, 1] of each sign that was looked at; None with too few frames with an error, or without.
    """
    errors = np.array([_has_error(frame) for frame in frames], np.bool_)
    if min(errors.sum(), (~errors).sum()) < _FEWEST:
        return None
    known = [sign for sign in SIGNS if any(sign in frame.entry.doubt.signs for frame in frames)]
    values = np.array([[frame.entry.doubt.signs.get(sign, 0.0) for sign in known] for frame in frames])
    defaults = np.array([DEFAULT_WEIGHTS[sign] for sign in known])
    start = _log_odds(np.append(defaults, _LEAK))
    spread = np.append(np.full(len(known), _PRIOR_SPREAD), 10 * _PRIOR_SPREAD)
    fitted = minimize(_loss, start, (values, errors, start, spread), method="L-BFGS-B").x
    weights = np.clip(_sigmoid(fitted[:-1]), _LEAST, _MOST)
    return dict(zip(known, (round(weight, 3) for weight in weights.tolist()), strict=True))


def _has_error(frame: MinedFrame) -> bool:
    """True if an object was probably missed, or a box of the device is probably wrong."""
    unlikely = frame.found.confidence[~frame.missed] < 0.5
    return bool((frame.found.confidence[frame.missed] >= 0.5).any() or unlikely.any() or frame.alone.any())


def _loss(
    odds: NDArray[np.float64],
    values: NDArray[np.float64],
    errors: NDArray[np.bool_],
    start: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> float:
    """Negative log posterior of log odds (S + 1,) of the weights and the leak, for values (F, S) of signs."""
    weights = _sigmoid(odds)
    right = (1 - weights[-1]) * np.prod(1 - weights[:-1] * values, axis=1)
    likely = np.clip(np.where(errors, 1 - right, right), 1e-9, 1)
    return float(-np.log(likely).sum() + (((odds - start) / spread) ** 2).sum() / 2)


def _log_odds(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(share / (1 - share)))


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-odds)))
