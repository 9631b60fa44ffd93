"""Doubt about the frames of one source: each is judged as soon as the next one is known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from edgeloop.edge.doubt.broken_track import BrokenTracks
from edgeloop.edge.doubt.empty_place import EmptyPlaces
from edgeloop.edge.doubt.judged_frame import Doubt, JudgedFrame, Sign
from edgeloop.edge.doubt.near_threshold import uncertainty
from edgeloop.edge.doubt.neighborhood import NEIGHBORS_S, Neighborhood, TemporalSign, any_of
from edgeloop.edge.doubt.scale_disagreement import disagreement
from edgeloop.edge.doubt.second_look import SecondLook
from edgeloop.edge.doubt.silence import Silence
from edgeloop.edge.doubt.uncovered_motion import UncoveredMotion
from edgeloop.edge.result import Result

__all__ = ["DEFAULT_WEIGHTS", "FrameDoubt"]

DEFAULT_WEIGHTS: Mapping[Sign, float] = MappingProxyType(
    {
        "threshold": 0.5,
        "broken_track": 0.8,
        "silence": 0.7,
        "motion": 0.4,
        "empty_place": 0.4,
        "scale": 0.5,
    }
)
"""Probability that a frame has an error, by each sign at 1 alone.

By reasoning, before anything is known of a scene: a box at the threshold is right as often as wrong. An
object in the frames before and after was there, unless both boxes are wrong. Many objects do not leave at
once, unless something hides them all. What moves is as often a shadow or a thing of another kind. What always
stands somewhere may have left. Of two looks that differ, either one may be wrong.
"""

_LOOK_AT = 0.5
"""Doubt by the other signs from which a second look is worth its time."""

_LOOK_SHARE, _RANDOM_LOOKS, _MOST_SAVED = 0.05, 0.01, 3.0
"""Largest share of the frames that get a second look, share that gets one by chance, so that it also sees
where no other sign does, and the number of looks that may be saved up."""


class FrameDoubt:
    """Judge of the frames of one source.

    Signs combine as independent causes: the doubt is the probability that at least one of them, each with
    the probability of its weight times its value, is right (noisy or). Signs that compare frames need their
    times; of pictures without any, the scores are judged, and the second look.

    Without the second look, a frame of some ten objects takes less than a millisecond. With it, a frame in
    twenty at most takes the time of another detection, in the thread that calls `add`.
    """

    def __init__(
        self,
        threshold: float | Callable[[], float],
        *,
        second_look: SecondLook | None = None,
        weights: Mapping[Sign, float] | None = None,
    ) -> None:
        """Start without a frame.

        Args:
            threshold: The detector's minimum confidence, below 1; a function if the detector may be swapped,
                called with each frame.
            second_look: Detector at another scale, as of `shrunk_look`; None for none.
            weights: Weight in [0, 1] of each sign; those that are missing are `DEFAULT_WEIGHTS`.
        """
        self._threshold = threshold if callable(threshold) else lambda: threshold
        self._second_look = second_look
        self._weights = {**DEFAULT_WEIGHTS, **(weights or {})}
        self._signs: dict[Sign, TemporalSign] = {
            "broken_track": BrokenTracks(),
            "silence": Silence(),
            "motion": UncoveredMotion(),
            "empty_place": EmptyPlaces(),
        }
        self._before: tuple[Result, float] | None = None
        self._waiting: tuple[Result, float] | None = None
        self._waiting_threshold = 0.0
        self._looks = 0.0
        self._random = random.Random(0)

    def add(self, result: Result, time_s: float) -> JudgedFrame | None:
        """Add the next frame.

        Args:
            result: Its result.
            time_s: Its time in seconds in the source; NaN if unknown.

        Returns:
            The frame before, whose neighbors are known now; None if this is the first one.

        Raises:
            ModelError: The second look fails.
        """
        judged = self._judge((result, time_s))
        self._before, self._waiting = self._waiting, (result, time_s)
        self._waiting_threshold = self._threshold()
        return judged

    def close(self) -> JudgedFrame | None:
        """Judge the last frame, which has no frame after it; None if there is none."""
        judged = self._judge(None)
        self._before = self._waiting = None
        return judged

    def _judge(self, after: tuple[Result, float] | None) -> JudgedFrame | None:
        if self._waiting is None:
            return None
        (result, time_s), threshold = self._waiting, self._waiting_threshold
        signs: dict[Sign, float] = {"threshold": uncertainty(result.detections, threshold)}
        if not math.isnan(time_s):
            around = _neighborhood(self._before, self._waiting, after)
            for name, sign in self._signs.items():
                value = sign.judge(around)
                if value is not None:
                    signs[name] = value
        if self._second_look is not None and not result.unchanged and self._may_look(self._total(signs)):
            other = self._second_look(result.frame.image)
            signs["scale"] = disagreement(result.detections, other, threshold)
        return JudgedFrame(result, time_s, Doubt(self._total(signs), MappingProxyType(signs)))

    def _total(self, signs: Mapping[Sign, float]) -> float:
        return any_of(self._weights[name] * value for name, value in signs.items())

    def _may_look(self, doubt: float) -> bool:
        """True if a frame gets a second look, which is then taken off those that are saved up."""
        self._looks = min(self._looks + _LOOK_SHARE, _MOST_SAVED)
        wanted = doubt >= _LOOK_AT or self._random.random() < _RANDOM_LOOKS
        if not wanted or self._looks < 1.0:
            return False
        self._looks -= 1.0
        return True


def _neighborhood(
    before: tuple[Result, float] | None, now: tuple[Result, float], after: tuple[Result, float] | None
) -> Neighborhood:
    result, time_s = now
    before_s = time_s - before[1] if before else 0.0
    after_s = after[1] - time_s if after else 0.0
    near_before, near_after = (0 < gap_s <= NEIGHBORS_S for gap_s in (before_s, after_s))
    return Neighborhood(
        result.frame.image,
        result.detections,
        time_s,
        before=before[0].detections if before and near_before else None,
        after=after[0].detections if after and near_after else None,
        before_s=before_s if near_before else 0.0,
        after_s=after_s if near_after else 0.0,
    )
