"""Judgment of one frame by the statistics of training frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.drift.frame_description import FrameDescription, describe_frame
from edgeloop.edge.drift.frame_distance import FrameDistance
from edgeloop.edge.drift.static_edges import StaticEdges
from edgeloop.models.bundle.frame_statistics import FrameStatistics

__all__ = ["DriftJudge", "DriftKind", "Look"]

DriftKind = Literal["ok", "blind", "moved", "unfamiliar"]
"""As in training; next to nothing to be seen; static edges elsewhere; unlike the training frames."""

_BLIND = 0.5  # share of the least contrast or detail in training below which next to nothing is to be seen


@dataclass(frozen=True, slots=True)
class Look:
    """Judgment of one frame.

    Attributes:
        kind: The first that applies of blind, moved and unfamiliar, or ok.
        reason: What differs from the training frames, in figures; "" if ok.
    """

    kind: DriftKind
    reason: str = ""


class DriftJudge:
    """Judge of single frames. One may serve many cameras: it keeps nothing of a frame."""

    def __init__(self, statistics: FrameStatistics) -> None:
        """Unpack the statistics of a bundle."""
        self._statistics, self._distance = statistics, FrameDistance.read(statistics)
        self._view = None if statistics.edges is None else StaticEdges(statistics.array("edges"))

    def look(self, image: NDArray[np.uint8]) -> Look:
        """Judge a frame, HxWx3 uint8 BGR."""
        described = describe_frame(image)
        if blind := self._blind(described):
            return Look("blind", blind)
        if self._view is not None:
            fit = self._view.fit(described.edges)
            if fit.moved:
                right, down = fit.shift
                return Look(
                    "moved",
                    f"its edges fit those of training best {right:+.0%} of the width and {down:+.0%} of the "
                    f"height away (correlation {fit.best:.2f}, at their place {fit.here:.2f})",
                )
        distance, limit = self._distance.of(described.values), self._statistics.limit
        if distance > limit:
            return Look("unfamiliar", f"distance from the training frames {distance:.2g}, limit {limit:.2g}")
        return Look("ok")

    def _blind(self, described: FrameDescription) -> str:
        """Reason why next to nothing is to be seen; "" if there is something."""
        known = self._statistics
        figures = (
            ("contrast", described.contrast, known.contrast),
            ("detail", described.detail, known.detail),
        )
        low = [(name, found, least) for name, found, least in figures if found < _BLIND * least]
        if not low:
            return ""
        darkest, brightest = known.brightness
        light = f"brightness {described.brightness:.0f}, in training {darkest:.0f} to {brightest:.0f}"
        return ", ".join(
            [*(f"{name} {found:.1f}, at least {least:.1f}" for name, found, least in low), light]
        )
