"""Watch over what one camera shows: looks now and then, and says what lasts."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.drift.drift_judge import DriftJudge, DriftKind, Look
from edgeloop.models.bundle.frame_statistics import FrameStatistics

__all__ = ["LOOK_S", "DriftChange", "DriftWatch"]

LOOK_S = 3.0
"""Time in seconds from one look to the next."""

LOOKS, BEGINS, ENDS = 8, 6, 2
"""Looks that are remembered, how many of them must not be ok before it is said, and at most when it is over.

So a truck that stands in the view for some seconds is nothing, and what comes and goes is said once.
"""


@dataclass(frozen=True, slots=True)
class DriftChange:
    """Change of what is said of a camera.

    Attributes:
        before: Kind so far.
        now: Kind from now on.
        reason: What differs from the training frames; "" if ok.
    """

    before: DriftKind
    now: DriftKind
    reason: str


class DriftWatch:
    """Watch over the frames of one camera.

    Attributes:
        kind: What is said of the camera at the moment.
        reason: What differs from the training frames; "" if it is ok.
    """

    def __init__(self, statistics: FrameStatistics) -> None:
        """Start with the statistics of a bundle."""
        self.kind: DriftKind = "ok"
        self.reason = ""
        self._judge = DriftJudge(statistics)
        self._recent: deque[Look] = deque(maxlen=LOOKS)
        self._counts: Counter[DriftKind] = Counter()
        self._looked_s: float | None = None

    @property
    def looks(self) -> int:
        """Number of looks so far."""
        return self._counts.total()

    @property
    def shares(self) -> Mapping[str, float]:
        """Share of the looks of each kind, 0 to 1; all 0 before the first."""
        total = max(self.looks, 1)
        return {kind: round(self._counts[kind] / total, 4) for kind in get_args(DriftKind)}

    def add(self, image: NDArray[np.uint8], time_s: float) -> DriftChange | None:
        """Look at a frame if it is time.

        Args:
            image: HxWx3 uint8 BGR.
            time_s: Time of the frame in seconds.

        Returns:
            What is said from now on; None if that is as before.
        """
        if self._looked_s is not None and 0 <= time_s - self._looked_s < LOOK_S:
            return None
        self._looked_s = time_s
        return self.note(self._judge.look(image))

    def note(self, look: Look) -> DriftChange | None:
        """Take a look into account, whenever it was taken; the result is that of `add`."""
        self._counts[look.kind] += 1
        self._recent.append(look)
        now = self._now()
        if now == self.kind:
            return None
        reason = next((each.reason for each in reversed(self._recent) if each.kind == now), "")
        change = DriftChange(self.kind, now, reason)
        self.kind, self.reason = now, reason
        return change

    def _now(self) -> DriftKind:
        """Kind by the remembered looks, which change it only if they agree."""
        counts = Counter(look.kind for look in self._recent if look.kind != "ok")
        differing = counts.total()
        if self.kind == "ok":
            return counts.most_common(1)[0][0] if differing >= BEGINS else "ok"
        if differing <= ENDS:
            return "ok"
        kind, count = counts.most_common(1)[0]
        return kind if count >= BEGINS else self.kind
