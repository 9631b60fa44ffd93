"""Images and rows of a ring that a device writes: always changed together, and never beyond the budget."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np

from edgeloop.edge.host.durable_file import make_folder
from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.edge.host.opencv import write_bytes
from edgeloop.edge.ring.ring_budget import RingBudget
from edgeloop.edge.ring.ring_database import IMAGES, RING_FILE, open_database, row_of
from edgeloop.edge.ring.ring_entry import RingEntry, RingModel, Share
from edgeloop.models.detections import Detections

__all__ = ["Ranking", "RingTable"]

log = logging.getLogger(__name__)

_SLACK = 500_000
"""Bytes of the budget that are left to the database and its log until they are measured again."""

_DAY_S = 86400.0

_JUMP_DAYS = 180.0
"""Days by which a clock is never off while it runs: if it is set by more, it was wrong, or is now."""

Ranking = tuple[float, bytes]
"""Expected gain of a frame, and its thumbnail."""

_INSERT = f"INSERT INTO frame VALUES ({', '.join('?' * 16)})"
_MISSING_GAINS = """
INSERT INTO gain SELECT file, doubt, x'' FROM frame
WHERE share = 'ranked' AND file NOT IN (SELECT file FROM gain)
"""


class RingTable:
    """Images and rows of a ring, for one thread. Holds the lock of the folder until it is closed.

    Attributes:
        folder: Folder of the ring.
        database: Its database; changed in `transaction` only.
        deleted: Number of frames removed so far.
    """

    def __init__(
        self, folder: Path, budget: RingBudget, *, keep_free_mb: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Open the ring, created if it is missing, and remove what a killed process left.

        Args:
            folder: Folder of the ring.
            budget: Its budget.
            keep_free_mb: Free space in MB that is left on its disk.
            clock: Unix time in seconds.

        Raises:
            EdgeloopError: The folder cannot be written, holds something else, or has another writer.
            OSError: The disk fails.
        """
        self.folder, self._budget, self._clock = folder, budget, clock
        self._keep_free = keep_free_mb * 1e6
        self.deleted = 0
        with ExitStack() as opened:
            make_folder(folder)
            refusal = f"ring {folder}: another process writes to it; name another folder, or stop that one"
            opened.enter_context(locked_folder(folder, refusal))
            self.database = open_database(folder)
            opened.callback(self.database.close)
            self._tidy()
            self._used = self._measure()
            (newest,) = self.database.execute("SELECT MAX(kept_at) FROM frame").fetchone()
            self._looked = (self.now if newest is None else newest, time.monotonic())
            self._held = opened.pop_all()

    def close(self) -> None:
        """Close the database, and let others write to the folder."""
        self._held.close()

    @property
    def now(self) -> float:
        """Unix time in seconds."""
        return self._clock()

    @property
    def entries(self) -> int:
        """Number of frames that are kept."""
        (found,) = self.database.execute("SELECT COUNT(*) FROM frame").fetchone()
        return int(found)

    @property
    def size(self) -> int:
        """Size of the images and the database in bytes."""
        return sum(self._used.values()) + self._overhead()

    def used(self, share: Share) -> int:
        """Size of the images of a share in bytes."""
        return self._used[share]

    def quota(self, share: Share) -> int:
        """Bytes of the budget for the images of a share."""
        images = max(0, self._budget.bytes - self._overhead() - _SLACK)
        random = int(images * self._budget.random_share)
        return random if share == "random" else images - random

    def limit(self, share: Share) -> int:
        """Size in bytes that a share may have now. On a disk that others fill it only replaces its frames.

        Raises:
            OSError: The disk does not answer.
        """
        spare = shutil.disk_usage(self.folder).free - self._keep_free
        return int(min(self.quota(share), self._used[share] + max(0.0, spare)))

    def insert(
        self, entry: RingEntry, data: bytes, model: RingModel, *, draw: float, ranking: Ranking | None
    ) -> str:
        """Write an image, then its row.

        Args:
            entry: The entry; a number is added to its file name if that is taken.
            data: Content of the image file.
            model: Model that answered.
            draw: Random number in [0, 1) by which it was drawn.
            ranking: Its expected gain and thumbnail; None if it was not chosen for its doubt.

        Returns:
            The name of its file.

        Raises:
            UnavailableError: The image cannot be written.
            sqlite3.Error: The row cannot be written; the image is removed.
        """
        name = self._free_name(entry.frame.file)
        path = self.folder / IMAGES / name
        try:
            # Not synced: after a power cut `_tidy` finds what is not whole, and an SD card is spared.
            write_bytes(path, data)
            with self.transaction():
                found = self._under_stored_names(model, entry.detections)
                entry = replace(
                    entry, frame=replace(entry.frame, file=name), detections=found, bytes=len(data)
                )
                self.database.execute(_INSERT, row_of(entry, kept_at=self.now, draw=draw))
                if ranking is not None:
                    self.rank(name, ranking)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._used[entry.share] += len(data)
        return name

    def rank(self, file: str, ranking: Ranking) -> None:
        """Set the expected gain of a frame, in a transaction."""
        self.database.execute("INSERT OR REPLACE INTO gain VALUES (?, ?, ?)", (file, *ranking))

    def remove(self, files: Sequence[str]) -> None:
        """Delete rows, then their images."""
        with self.transaction():
            self.drop_rows(files)
        self.forget(files)

    def drop_rows(self, files: Sequence[str]) -> None:
        """Delete rows, in a transaction; `forget` has to follow it."""
        names = [(file,) for file in files]
        self.database.executemany("DELETE FROM frame WHERE file = ?", names)
        self.database.executemany("DELETE FROM gain WHERE file = ?", names)

    def forget(self, files: Sequence[str]) -> None:
        """Delete the images of rows that are gone, and measure the shares again."""
        for file in files:
            with suppress(FileNotFoundError):
                (self.folder / IMAGES / file).unlink()
        self.deleted += len(files)
        self._used = self._measure()

    def expire(self) -> bool:
        """Remove the frames that are too old; True if there were any."""
        self._follow_clock()
        oldest = self.now - self._budget.days * _DAY_S
        rows = self.database.execute("SELECT file FROM frame WHERE kept_at < ?", (oldest,)).fetchall()
        if rows:
            self.remove([file for (file,) in rows])
        return bool(rows)

    def _follow_clock(self) -> None:
        """Let frames keep their age if the clock was set: one that starts in 1970 would make all too old."""
        now, running = self.now, time.monotonic()
        expected = self._looked[0] + running - self._looked[1]
        jump_days = (now - expected) / _DAY_S
        self._looked = now, running
        if abs(jump_days) <= max(_JUMP_DAYS, self._budget.days):
            return
        before, limit = ("kept_at <= ?", expected) if jump_days > 0 else ("kept_at > ?", now)
        update = f"UPDATE frame SET kept_at = kept_at + ? WHERE {before}"
        with self.transaction():
            moved = self.database.execute(update, (now - expected, limit)).rowcount
        log.warning(
            "ring: the clock was set by %+.0f days; %d frames keep their age, none is removed for it",
            jump_days,
            moved,
            extra={"event": "ring-clock", "part": "ring"},
        )

    def state(self, name: str, default: float) -> float:
        """Read a figure that outlives the process."""
        row = self.database.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return default if row is None else float(row[0])

    def set_state(self, name: str, value: float) -> None:
        """Keep a figure, in a transaction."""
        self.database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))

    def shrink_log(self) -> None:
        """Move the write-ahead log into the database after a change of many rows: the budget counts it."""
        self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all of several changes, or none."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.database.execute("COMMIT")
        except BaseException:
            if self.database.in_transaction:  # a full disk may have ended it
                self.database.execute("ROLLBACK")
            raise

    def _overhead(self) -> int:
        files = (self.folder / f"{RING_FILE}{suffix}" for suffix in ("", "-wal", "-shm"))
        size = 0
        for file in files:
            with suppress(FileNotFoundError):
                size += file.stat().st_size
        return size

    def _measure(self) -> dict[Share, int]:
        sizes = dict(self.database.execute("SELECT share, SUM(bytes) FROM frame GROUP BY share"))
        return {"random": sizes.get("random", 0), "ranked": sizes.get("ranked", 0)}

    def _tidy(self) -> None:
        """Remove images without a row, and rows without a whole image."""
        images = self.folder / IMAGES
        rows = dict(self.database.execute("SELECT file, bytes FROM frame"))
        found = {path.name: path.stat().st_size for path in images.iterdir() if path.is_file()}
        gone = sorted(file for file, size in rows.items() if found.get(file) != size)
        with self.transaction():
            self.drop_rows(gone)
            self.database.execute(_MISSING_GAINS)
        for name in found.keys() - (rows.keys() - gone):
            (images / name).unlink()

    def _free_name(self, file: str) -> str:
        """Name that no frame of the ring has: the same footage may be played again."""
        for number in count(1):
            name = Path(file)
            name = name if number == 1 else name.with_stem(f"{name.stem}-{number}")
            if not self.database.execute("SELECT 1 FROM frame WHERE file = ?", (name.name,)).fetchone():
                break
        return name.name

    def _under_stored_names(self, model: RingModel, found: Detections) -> Detections:
        """Store the names of a model, and give detections the class numbers of those stored.

        A service that swaps models adds the names of the new one to its list, so the same model may come with
        another order of names after a restart.
        """
        query = "SELECT names FROM model WHERE digest = ?"
        row = self.database.execute(query, (model.digest,)).fetchone()
        stored: list[str] = [] if row is None else json.loads(row[0])
        if (known := tuple(stored[: len(model.names)])) != model.names:
            stored += [name for name in model.names if name not in stored] if stored else [*model.names]
            values = (model.digest, json.dumps(stored), model.threshold)
            self.database.execute("INSERT OR REPLACE INTO model VALUES (?, ?, ?)", values)
            known = tuple(stored[: len(model.names)])
        if known == model.names:
            return found
        numbers = np.array([stored.index(name) for name in model.names], np.int64)
        return replace(found, class_id=numbers[found.class_id])
