"""Choice among the frames of one source: one drawn from each second, and the one in most doubt of every ten.

A draw that cannot enter the ring is known before its second begins, so at most two frames of a source are in
memory, and usually one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from edgeloop.edge.doubt.judged_frame import JudgedFrame
from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.edge.ring.ring_entry import RingModel

__all__ = ["Candidate", "Choice", "FrameChoice"]

SLOT_S = 1.0
"""Seconds of which one frame is drawn at random, whatever the frame rate."""

WINDOW_SLOTS = 10
"""Seconds of which the frame in most doubt is offered: frames near each other show the same."""


@dataclass(slots=True, eq=False)
class Candidate:
    """Frame that may enter a ring.

    Attributes:
        judged: The frame with its doubt.
        entry: Its line as of frames.jsonl.
        model: Model that answered.
        file: Name of its image in the ring; None as long as there is none.
    """

    judged: JudgedFrame
    entry: FrameEntry
    model: RingModel
    file: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Frame that was chosen.

    Attributes:
        candidate: The frame.
        draw: Random number in [0, 1) of its second; None if it was chosen for its doubt.
        inclusion: Probability of a draw that could enter when its second began; 1 if chosen for its doubt.
    """

    candidate: Candidate
    draw: float | None = None
    inclusion: float = 1.0


class FrameChoice:
    """Chooses among the frames of one source. For one thread at a time."""

    def __init__(self, random: Random, *, slot_frames: int) -> None:
        """Start without a frame.

        Args:
            random: Source of the draws.
            slot_frames: Number of frames that count as a second if their times are unknown; 1 for pictures,
                which have nothing to do with each other: each is chosen.
        """
        self._random, self._slot_frames = random, slot_frames
        self._window_slots = 1 if slot_frames == 1 else WINDOW_SLOTS
        self._slot: tuple[bool, int] | None = None
        self._draw, self._limit, self._seen = 1.0, 0.0, 0
        self._drawn: Candidate | None = None
        self._window: tuple[bool, int] | None = None
        self._best: Candidate | None = None

    def look(self, candidate: Candidate, *, draw_limit: float, gain_floor: float) -> Iterator[Choice]:
        """Look at the next frame.

        Args:
            candidate: The frame.
            draw_limit: Draws from here on do not enter the ring.
            gain_floor: Doubts below it, and 0, do not enter the ring.

        Yields:
            What was chosen among the frames before, whose second is over.
        """
        slot = self._slot_of(candidate)
        window = (slot[0], slot[1] // self._window_slots)
        if slot != self._slot:
            yield from self._end_slot()
            self._slot, self._seen = slot, 0
            self._draw, self._limit = self._random.random(), draw_limit
        if window != self._window:
            yield from self._end_window()
            self._window = window
        self._seen += 1
        # The k-th frame replaces the one drawn before with probability 1/k, so each is drawn alike.
        if self._draw < self._limit and self._random.random() * self._seen < 1:
            self._drawn = candidate
        doubt = candidate.judged.doubt
        if doubt > 0 and doubt >= gain_floor and (self._best is None or doubt > self._best.judged.doubt):
            self._best = candidate

    def end(self) -> Iterator[Choice]:
        """Yield what was chosen among the last frames."""
        yield from self._end_slot()
        yield from self._end_window()
        self._slot = self._window = None

    def _slot_of(self, candidate: Candidate) -> tuple[bool, int]:
        time_s = candidate.judged.time_s
        if math.isnan(time_s):
            return False, candidate.entry.index // self._slot_frames
        return True, math.floor(time_s / SLOT_S)

    def _end_slot(self) -> Iterator[Choice]:
        drawn, self._drawn = self._drawn, None
        if drawn is not None:
            yield Choice(drawn, self._draw, self._limit)

    def _end_window(self) -> Iterator[Choice]:
        best, self._best = self._best, None
        if best is not None:
            yield Choice(best)
