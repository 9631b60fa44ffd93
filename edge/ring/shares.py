"""Shares of a ring: which frames enter each, and which leave for them.

The random share keeps the frames with the lowest draws. Its threshold is the lowest draw that had to leave:
a frame is in it with the probability of a draw below that, whatever its size and its neighbors, and weighs
one over that (adaptive threshold sampling, Ting 2018, arXiv:1708.04970). The ranked share keeps the frames
with the highest expected gain.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from edgeloop.edge.ring.novelty import expected_gain
from edgeloop.edge.ring.ring_table import RingTable

__all__ = ["RandomShare", "RankedShare"]

_FILL = 0.95
"""Part of its bytes that the random share is cut down to: each cut changes every row."""

_RISE_BELOW = 0.5
"""Part of its bytes below which the threshold doubles."""

_RISE_S = 86400.0
"""Shortest time in seconds between two doublings: what then enters shows only after a while."""

_NEIGHBORS = 256
"""Maximum number of frames of a source that a new one is compared with, the newest."""

_DEMOTE = (
    "UPDATE frame SET share = 'ranked', inclusion = 1 WHERE file = ? AND file IN (SELECT file FROM gain)"
)
_LOWEST = """
SELECT gain.file, gain.value, frame.bytes FROM gain CROSS JOIN frame ON frame.file = gain.file
WHERE frame.share = 'ranked' ORDER BY gain.value, gain.rowid
"""
_THUMBNAILS = """
SELECT gain.thumbnail FROM frame JOIN gain ON gain.file = frame.file
WHERE frame.source = ? ORDER BY frame.kept_at DESC LIMIT ?
"""


class RandomShare:
    """Frames drawn at random.

    Attributes:
        threshold: Draws from here on do not enter, in (0, 1].
    """

    def __init__(self, table: RingTable) -> None:
        """Continue the share of a ring."""
        self._table = table
        self.threshold = table.state("random_threshold", 1.0)

    def make_room(self, size: int, draw: float) -> bool:
        """Remove the largest draws if there is no room for another frame.

        Args:
            size: Size of the frame in bytes.
            draw: Its draw.

        Returns:
            False if its own draw is among those that do not stay.

        Raises:
            OSError: The disk, or the budget, has no room for such a frame.
            sqlite3.Error: The disk is full.
        """
        limit = self._table.limit("random")
        _require(size, limit)
        if draw >= self.threshold:
            return False
        return self._table.used("random") + size <= limit or self._cut(limit, size, draw)

    def trim(self) -> None:
        """Remove the largest draws if the share is beyond its part of the budget."""
        quota = self._table.quota("random")
        if self._table.used("random") > quota:
            self._cut(quota, 0, -1.0)

    def rise(self) -> None:
        """Double the threshold if half of the bytes are free. Each frame keeps its own probability."""
        table = self._table
        if self.threshold >= 1 or table.used("random") >= _RISE_BELOW * table.quota("random"):
            return
        if abs(table.now - table.state("threshold_changed_at", 0.0)) < _RISE_S:
            return
        threshold = min(1.0, 2 * self.threshold)
        with table.transaction():
            self._keep(threshold)
        self.threshold = threshold

    def _cut(self, limit: int, size: int, draw: float) -> bool:
        """Remove the largest draws; True if a frame of this size and draw is not one of them."""
        table = self._table
        target = _FILL * limit if size < (1 - _FILL) * limit else limit
        total, threshold, leaving = table.used("random") + size, self.threshold, []
        for file, its_draw, its_size in self._largest_draws():
            if total <= target or its_draw <= draw:
                break
            leaving.append(file)
            threshold, total = its_draw, total - its_size
        enters = total <= target
        if not enters:
            threshold = draw
        with table.transaction():
            # A frame that was chosen for its doubt, too, goes on as that.
            gone = [file for file in leaving if not table.database.execute(_DEMOTE, (file,)).rowcount]
            table.drop_rows(gone)
            lower = "UPDATE frame SET inclusion = MIN(inclusion, ?) WHERE share = 'random'"
            table.database.execute(lower, (threshold,))
            self._keep(threshold)
        self.threshold = threshold
        table.forget(gone)
        table.shrink_log()
        return enters

    def _keep(self, threshold: float) -> None:
        self._table.set_state("random_threshold", threshold)
        self._table.set_state("threshold_changed_at", self._table.now)

    def _largest_draws(self) -> Iterator[tuple[str, float, int]]:
        query = "SELECT file, draw, bytes FROM frame WHERE share = 'random' ORDER BY draw DESC"
        yield from self._table.database.execute(query)


class RankedShare:
    """Frames kept for their doubt.

    Attributes:
        floor: Gains below it do not enter; 0 as long as there is room.
    """

    def __init__(self, table: RingTable) -> None:
        """Continue the share of a ring."""
        self._table = table
        self.floor = 0.0

    def gain(self, doubt: float, seen: bytes, source: str) -> float:
        """Expect the gain of a frame of a source by its doubt and its thumbnail."""
        rows = self._table.database.execute(_THUMBNAILS, (source, _NEIGHBORS))
        return expected_gain(doubt, seen, [kept for (kept,) in rows if len(kept) == len(seen)])

    def make_room(self, size: int, gain: float) -> bool:
        """Remove the frames with the lowest gain if there is no room for another frame.

        Args:
            size: Size of the frame in bytes.
            gain: Its expected gain.

        Returns:
            False if those that would have to leave gain more; none has left then.

        Raises:
            OSError: The disk, or the budget, has no room for such a frame.
            sqlite3.Error: The disk is full.
        """
        limit = self._table.limit("ranked")
        _require(size, limit)
        over, leaving = self._table.used("ranked") + size - limit, []
        self.floor = 0.0
        for file, its_gain, its_size in self._lowest_gains() if over > 0 else ():
            self.floor = self.floor or its_gain
            if over <= 0:
                break
            if its_gain > gain:
                return False
            leaving.append(file)
            over -= its_size
        self._table.remove(leaving)
        return True

    def trim(self) -> None:
        """Remove the frames with the lowest gain if the share is beyond its part of the budget."""
        over, leaving = self._table.used("ranked") - self._table.quota("ranked"), []
        for file, _, its_size in self._lowest_gains() if over > 0 else ():
            if over <= 0:
                break
            leaving.append(file)
            over -= its_size
        if leaving:
            self._table.remove(leaving)

    def _lowest_gains(self) -> Iterator[tuple[str, float, int]]:
        yield from self._table.database.execute(_LOWEST)


def _require(size: int, limit: int) -> None:
    if size > limit:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
