"""Looks: doubts that are settled on one screen, in order of what a second of a person's time gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.studio.review.doubts import Doubt

__all__ = ["GROUP", "Look", "arrange_looks"]

GROUP = 24
"""Maximum number of doubts of a look."""

_SCREEN_S, _CROP_S, _ODD_S = (
    1.5,
    0.25,
    1.0,
)  # time of a person: a screen, each crop, each that is unlike the rest
_ALIKE = 0.65  # minimum cosine similarity of look-alikes
_NEAR = 0.25  # maximum difference of the probabilities of look-alikes


@dataclass(frozen=True, slots=True)
class Look:
    """Doubts of one class and kind that are settled on one screen.

    Attributes:
        doubts: Places in the list of doubts, most probable errors first.
        gain: Expected number of errors that are found per second of a person's time.
    """

    doubts: tuple[int, ...]
    gain: float


def arrange_looks(
    doubts: Sequence[Doubt], errors: NDArray[np.float64], features: NDArray[np.float32]
) -> list[Look]:
    """Group look-alikes and order the groups by their gain, those that a device missed first.

    Args:
        doubts: The doubts, in any order.
        errors: float64 (N,), probability that each is an error.
        features: float32 (N, D), each row of length 1.
    """
    kinds: dict[tuple[str, bool, str], list[int]] = {}
    for place in np.argsort(-errors, kind="stable").tolist():
        doubt = doubts[place]
        kinds.setdefault((doubt.name, doubt.kind == "label", doubt.device), []).append(place)
    looks = []
    for places in kinds.values():
        left = np.array(places)
        while len(left):
            first = left[0]
            alike = features[left] @ features[first]
            alike[0] = 2.0
            near = (alike >= _ALIKE) & (np.abs(errors[left] - errors[first]) <= _NEAR)
            near[0] = True
            chosen = np.flatnonzero(near)
            chosen = np.sort(chosen[np.argsort(-alike[chosen], kind="stable")][:GROUP])
            group = left[chosen]
            looks.append(Look(tuple(map(int, group)), _gain(errors[group])))
            left = np.delete(left, chosen)

    def is_other(look: Look) -> bool:
        return doubts[look.doubts[0]].device != "missed"

    return sorted(looks, key=lambda look: (is_other(look), -look.gain, look.doubts))


def _gain(errors: NDArray[np.float64]) -> float:
    odd = float(np.minimum(errors, 1 - errors).sum())
    return float(errors.sum()) / (_SCREEN_S + _CROP_S * len(errors) + _ODD_S * odd)
