"""Writer of a ring: a bounded queue, and a thread of its own that encodes and writes.

The loop never waits for it. If the disk does not keep up or is full, frames are dropped, counted and
logged; it goes on by itself as soon as there is room.
"""

from __future__ import annotations

import errno
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from edgeloop.edge.doubt.judged_frame import JudgedFrame
from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.edge.ring.frame_choice import Candidate, Choice, FrameChoice
from edgeloop.edge.ring.loss_log import LossLog
from edgeloop.edge.ring.ring_budget import RingBudget
from edgeloop.edge.ring.ring_entry import RingModel, Share
from edgeloop.edge.ring.ring_keeper import RingKeeper
from edgeloop.models.errors import UnavailableError

__all__ = ["RingFigures", "RingWriter"]

QUEUE = 16
"""Maximum number of frames that wait to be written."""

RANKED_QUEUE = 8
"""Maximum number that wait when a frame in doubt joins them: a lost draw would spoil the figures."""

SLOT_FRAMES = 30
"""Frames that count as a second in footage without times."""

TEND_S = 60.0
"""Seconds between two looks for frames that are too old."""

RETRY_S = 5.0
"""Seconds between two tries to open a ring."""


@dataclass(frozen=True, slots=True)
class RingFigures:
    """Figures of a ring.

    Attributes:
        random_saved: Frames drawn at random that were written since the start.
        ranked_saved: Frames in doubt that were written since the start.
        dropped: Frames that were chosen, but not written: the disk is full or does not keep up.
        deleted: Frames removed since the start, for better ones or for their age.
        queue: Frames that wait.
        entries: Frames that are kept.
        bytes: Size of the ring.
        random_threshold: Draws below it enter the random share, in (0, 1].
    """

    random_saved: int = 0
    ranked_saved: int = 0
    dropped: int = 0
    deleted: int = 0
    queue: int = 0
    entries: int = 0
    bytes: int = 0
    random_threshold: float = 1.0


class RingWriter:
    """Chooses among the frames of several sources and writes those chosen. For any thread."""

    def __init__(
        self,
        folder: Path,
        budget: RingBudget,
        *,
        keep_free_mb: float = 1000.0,
        seed: int | None = None,
        clock: Callable[[], float] = time.time,
        patient: bool = False,
        on_figures: Callable[[RingFigures], object] | None = None,
    ) -> None:
        """Open the ring and start the thread.

        Args:
            folder: Folder of the ring, created if it is missing.
            budget: Its budget.
            keep_free_mb: Free space in MB that is left on its disk.
            seed: Random seed; None for another one each time.
            clock: Unix time in seconds.
            patient: Wait for a folder that cannot be opened yet, instead of failing.
            on_figures: Called with the figures a few times a second, in the thread of the writer.

        Raises:
            UnavailableError: The folder cannot be opened as a ring, and `patient` is false.
        """
        self.folder, self._budget, self._keep_free_mb, self._clock = folder, budget, keep_free_mb, clock
        self._on_figures = on_figures
        self._random = Random(seed)
        self._lock = threading.Lock()  # of the choices, and the counts of what the queue refused
        self._choices: dict[str, FrameChoice] = {}
        self._queue: queue.Queue[Choice] = queue.Queue(QUEUE)
        self._saved: dict[Share, int] = {"random": 0, "ranked": 0}
        self._refused = self._lost = self._deleted = 0
        self._figures = RingFigures()
        self._draw_limit, self._gain_floor = 1.0, 0.0
        self._losses = LossLog()
        self._keeper: RingKeeper | None = None
        self._due_at = float("-inf")
        if not patient:
            self._open_now()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ring", daemon=True)
        self._thread.start()

    @property
    def figures(self) -> RingFigures:
        """Figures as of now; those of the folder as of the last change."""
        dropped, waiting = self._refused + self._lost, self._queue.qsize()
        return replace(self._figures, dropped=dropped, queue=waiting)

    def add(
        self,
        judged: JudgedFrame,
        entry: FrameEntry,
        model: RingModel,
        *,
        slot_frames: int = SLOT_FRAMES,
    ) -> None:
        """Look at the next frame of a source; never waits.

        Args:
            judged: The frame with its doubt.
            entry: Its line as of frames.jsonl; `source` tells the sources apart.
            model: Model that answered.
            slot_frames: Number of frames that count as a second if their times are unknown; 1 for pictures.
        """
        with self._lock:
            choice = self._choices.get(entry.source)
            if choice is None:
                choice = self._choices[entry.source] = FrameChoice(self._random, slot_frames=slot_frames)
            candidate = Candidate(judged, entry, model)
            found = choice.look(candidate, draw_limit=self._draw_limit, gain_floor=self._gain_floor)
            self._hand_over(found)

    def end_source(self, source: str) -> None:
        """Take what is chosen among the last frames of a source."""
        with self._lock:
            if (choice := self._choices.pop(source, None)) is not None:
                self._hand_over(choice.end())

    def close(self, timeout_s: float | None = None) -> None:
        """Write what waits, and close the ring.

        Args:
            timeout_s: Longest time in seconds to wait for a disk that hangs; None for no limit.
        """
        for source in [*self._choices]:
            self.end_source(source)
        self._stopping.set()
        self._thread.join(timeout_s)

    def _hand_over(self, found: Iterable[Choice]) -> None:
        for choice in found:
            try:
                if choice.draw is None and self._queue.qsize() >= RANKED_QUEUE:
                    raise queue.Full
                self._queue.put_nowait(choice)
            except queue.Full:
                self._refused += 1
                self._losses.lost(_share(choice), "the disk does not keep up")

    def _run(self) -> None:
        while not (self._stopping.is_set() and self._queue.empty()):
            choice = None
            with suppress(queue.Empty):
                choice = self._queue.get(timeout=0.0 if self._stopping.is_set() else 0.2)
            try:
                self._tend()
                if choice is not None:
                    self._write(choice)
            except Exception as error:  # whatever it is, later frames may be written
                self._lost += choice is not None
                self._losses.lost("folder" if choice is None else _share(choice), self._reason(error))
                self._leave_lost_folder()
            self._show()
        if self._keeper is not None:
            self._keeper.close()

    def _write(self, choice: Choice) -> None:
        keeper = self._keeper
        if keeper is None:
            self._lost += 1
            return
        if not keeper.add(choice):
            return
        self._saved[_share(choice)] += 1
        self._losses.written(_share(choice), "folder")

    def _tend(self) -> None:
        """Look after the ring once a minute; open it if it is not open: its disk may come later."""
        now = time.monotonic()
        if now < self._due_at:
            return
        if self._keeper is None:
            self._due_at = now + RETRY_S
            self._open()
        else:
            self._due_at = now + TEND_S
            self._keeper.tend()

    def _open_now(self) -> None:
        try:
            self._open()
        except (OSError, sqlite3.Error) as error:
            raise UnavailableError(f"ring {self.folder}: {self._reason(error)}") from error
        self._show()

    def _open(self) -> None:
        self._keeper = RingKeeper(
            self.folder, self._budget, keep_free_mb=self._keep_free_mb, clock=self._clock
        )

    def _leave_lost_folder(self) -> None:
        """Close a ring whose folder has gone, such as that of a disk that was taken out."""
        try:
            is_there = self.folder.is_dir()
        except OSError:
            is_there = False
        if self._keeper is not None and not is_there:
            with suppress(sqlite3.Error, OSError):
                self._keeper.close()
            self._deleted += self._keeper.table.deleted
            self._keeper, self._due_at = None, float("-inf")

    def _reason(self, error: Exception) -> str:
        cause = error.__cause__ or error
        is_full = isinstance(cause, OSError) and cause.errno == errno.ENOSPC
        if is_full or (isinstance(cause, sqlite3.Error) and "is full" in str(cause)):
            return (
                f"no room in {self.folder} (at most {self._budget.megabytes:g} MB, "
                f"and {self._keep_free_mb:g} MB of the disk stay free)"
            )
        return str(error) or type(error).__name__

    def _show(self) -> None:
        """Publish the figures, and the limits by which frames are chosen."""
        figures = {"deleted": self._deleted}
        if (keeper := self._keeper) is not None:
            with suppress(sqlite3.Error, OSError):
                figures |= {"entries": keeper.table.entries, "bytes": keeper.table.size}
            figures["deleted"] += keeper.table.deleted
            self._draw_limit, self._gain_floor = keeper.random.threshold, keeper.ranked.floor
        self._figures = RingFigures(
            random_saved=self._saved["random"],
            ranked_saved=self._saved["ranked"],
            random_threshold=self._draw_limit,
            **figures,
        )
        if self._on_figures is not None:
            self._on_figures(self.figures)


def _share(choice: Choice) -> Share:
    return "ranked" if choice.draw is None else "random"
