"""Keeper of a ring: puts chosen frames into their shares."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from edgeloop.edge.host.opencv import encode_image
from edgeloop.edge.ring.frame_choice import Candidate, Choice
from edgeloop.edge.ring.novelty import thumbnail
from edgeloop.edge.ring.ring_budget import RingBudget
from edgeloop.edge.ring.ring_entry import RingEntry, Share
from edgeloop.edge.ring.ring_table import Ranking, RingTable
from edgeloop.edge.ring.shares import RandomShare, RankedShare

__all__ = ["RingKeeper"]


class RingKeeper:
    """Encodes chosen frames and keeps them within the budget. For one thread.

    Attributes:
        table: Images and rows of the ring.
        random: Frames drawn at random.
        ranked: Frames kept for their doubt.
    """

    def __init__(
        self, folder: Path, budget: RingBudget, *, keep_free_mb: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Open the ring, as `RingTable` does, and cut it down to its budget.

        Raises:
            EdgeloopError: The folder cannot be written, holds something else, or has another writer.
            OSError: The disk fails.
            sqlite3.Error: The disk is full.
        """
        self._share = budget.random_share
        self.table = RingTable(folder, budget, keep_free_mb=keep_free_mb, clock=clock)
        try:
            self.random, self.ranked = RandomShare(self.table), RankedShare(self.table)
            self.tend()
        except BaseException:
            self.table.close()
            raise

    def add(self, choice: Choice) -> bool:
        """Put a chosen frame into its share.

        Returns:
            True if it is in the share now; False if the frames there are worth more.

        Raises:
            OSError: The disk, or the budget, has no room for it.
            UnavailableError: The image cannot be written.
            sqlite3.Error: The disk is full.
        """
        draw, candidate = choice.draw, choice.candidate
        if self._share == (0.0 if draw is not None else 1.0):
            return False  # there is no such share
        if draw is None:
            added = self._add_ranked(candidate)
        else:
            added = self._add_random(candidate, draw, choice.inclusion)
        self._trim()
        return added

    def tend(self) -> None:
        """Remove what is too old, keep to the budget, and let more in if there is room.

        Raises:
            OSError: The disk fails.
            sqlite3.Error: The disk is full.
        """
        if self.table.expire():
            self.ranked.floor = 0.0
        self._trim()
        self.random.rise()

    def close(self) -> None:
        """Close the ring."""
        self.table.close()

    def _add_random(self, candidate: Candidate, draw: float, inclusion: float) -> bool:
        if draw >= self.random.threshold:
            return False
        data = _encode(candidate)
        if not self.random.make_room(len(data), draw):
            return False
        inclusion = min(inclusion, self.random.threshold)
        self.ranked.trim()  # which may have taken what left
        if not self._move(candidate, draw, inclusion):
            entry = _entry(candidate, "random", inclusion)
            candidate.file = self.table.insert(entry, data, candidate.model, draw=draw, ranking=None)
        return True

    def _move(self, candidate: Candidate, draw: float, inclusion: float) -> bool:
        """Move a frame from the ranked share to the random one; False if it is not in it."""
        update = "UPDATE frame SET share = 'random', draw = ?, inclusion = ? WHERE file = ?"
        with self.table.transaction():
            moved = self.table.database.execute(update, (draw, inclusion, candidate.file)).rowcount > 0
        if moved:
            self.table.forget(())
        return moved

    def _add_ranked(self, candidate: Candidate) -> bool:
        doubt, table = candidate.judged.doubt, self.table
        if doubt <= 0 or doubt < self.ranked.floor:
            return False
        seen = thumbnail(candidate.judged.result.frame.image)
        ranking: Ranking = (self.ranked.gain(doubt, seen, candidate.entry.source), seen)
        if ranking[0] < self.ranked.floor:
            return False
        with table.transaction():
            query = "SELECT 1 FROM frame WHERE file = ?"
            if table.database.execute(query, (candidate.file,)).fetchone():  # it was drawn at random, too
                table.rank(str(candidate.file), ranking)
                return True
        data = _encode(candidate)
        if not self.ranked.make_room(len(data), ranking[0]):
            return False
        entry = _entry(candidate, "ranked", 1.0)
        candidate.file = table.insert(entry, data, candidate.model, draw=1.0, ranking=ranking)
        return True

    def _trim(self) -> None:
        self.random.trim()
        self.ranked.trim()


def _encode(candidate: Candidate) -> bytes:
    return encode_image(".jpg", candidate.judged.result.frame.image)


def _entry(candidate: Candidate, share: Share, inclusion: float) -> RingEntry:
    judged = candidate.judged
    height, width = judged.result.frame.image.shape[:2]
    return RingEntry(
        frame=candidate.entry,
        share=share,
        inclusion=inclusion,
        doubt=judged.doubt,
        detections=judged.result.detections,
        model=candidate.model.digest,
        size=(width, height),
        bytes=0,
    )
