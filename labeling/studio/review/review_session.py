"""Review of the dataset of a project: its queue, the decisions so far, and what both make of the labels."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeloop.edge.host.file_version import file_version
from edgeloop.labeling.dataset.apply_decisions import apply_decisions, is_applied
from edgeloop.labeling.dataset.decisions import Decision, WrongDecision, by_frame, renamed
from edgeloop.labeling.studio.project import Project
from edgeloop.labeling.studio.review.doubts import Doubt
from edgeloop.labeling.studio.review.journal import Journal
from edgeloop.labeling.studio.review.open_review import OpenReview
from edgeloop.labeling.studio.review.review_queue import Queue, build_queue, read_found
from edgeloop.models.errors import EdgeloopError, UnavailableError

__all__ = ["ReviewSession"]

log = logging.getLogger(__name__)

_SETTLE_S = 2.0  # without a decision, before the dataset is written
_CLOSING_S = 5.0
_SETTLE_SHARE = 2  # as often as that took, so that writing a large one does not slow the page


class ReviewSession:
    """Thread-safe review; a background thread arranges the queue and writes decisions into the dataset."""

    def __init__(self, project: Project) -> None:
        """Open the journal of a project.

        Raises:
            DataError: The journal is malformed.
        """
        self._project = project
        self.journal = Journal(project.decisions)
        self._open: OpenReview | None = None
        self._lock = threading.Lock()
        self._deciding = threading.Lock()
        self._writing = threading.Lock()  # of the dataset
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._paths = {entry.name: project.frames / entry.file for entry in project.entries}
        self.problem: str | None = None
        if self.journal.decisions():
            self._start()

    def open(self) -> OpenReview | None:
        """Review of the dataset as it is now; None if there is none.

        Raises:
            DataError: The dataset is malformed.
        """
        version = _version(self._project.dataset)
        with self._lock:
            if version is None:
                self._open = None
            elif self._open is None or self._open.version != version:
                self._open = OpenReview(read_found(self._project.dataset), version)
                self._start()
            return self._open

    def ready(self) -> tuple[OpenReview, Queue]:
        """Review whose queue is arranged.

        Raises:
            UnavailableError: There is no dataset yet, or its queue is still being arranged.
            DataError: The dataset is malformed.
        """
        review = self.open()
        if review is None:
            raise UnavailableError("there are no labels yet; make some in the Label tab")
        if review.queue is None:
            raise UnavailableError("the queue is being arranged; try again in some seconds")
        return review, review.queue

    def add(self, make: Callable[[int], Sequence[Decision]]) -> None:
        """Save decisions, which are made for the number of a new batch; the dataset shows them soon.

        Raises:
            UnavailableError: The journal cannot be written.
        """
        with self._deciding:
            self.journal.add(make(self.journal.next_batch()))
        self._start()

    def undo(self) -> list[Decision]:
        """Take back the last batch; its decisions.

        Raises:
            UnavailableError: The journal cannot be written.
        """
        with self._deciding:
            undone = self.journal.undo()
        self._start()
        return undone

    def rename(self, name: str, to: str) -> None:
        """Make decisions on a class hold for its new name too, which the next labels have.

        All decisions on the frames concerned are repeated in their order: twice is no more than once. If both
        classes become one, what is none of the one may still be one of the other.

        Raises:
            DataError: The dataset is malformed.
            UnavailableError: The journal cannot be written.
        """
        review = self.open()
        both = review is not None and to in review.found.names
        with self._deciding:
            made = self.journal.decisions()
            files = {own.file for own in made if renamed(own, name, to) != own}
            copies = [
                renamed(own, name, to)
                for own in made
                if own.file in files
                and not (both and isinstance(own, WrongDecision) and own.box.name == name)
            ]
            self.journal.add([*dict.fromkeys(copies)])
        self._start()

    def states(self, doubts: Sequence[Doubt], review: OpenReview) -> list[str]:
        """States of doubts, as of `OpenReview.state`."""
        decisions = by_frame(self.journal.decisions())
        return [
            review.state(doubt, own) if (own := decisions.get(doubt.file)) else "open" for doubt in doubts
        ]

    def expected_errors(self, review: OpenReview) -> float:
        """Number of errors that the scores tell of, without those that are decided."""
        decisions = by_frame(self.journal.decisions())
        settled = (
            doubt.error_probability
            for file, own in decisions.items()
            for doubt in review.of_file.get(file, ())
            if review.state(doubt, own) != "open"
        )
        return max(0.0, review.expected - sum(settled))

    def flush(self) -> None:
        """Write decisions into the dataset now, if it does not show them yet.

        Raises:
            DataError: The dataset is malformed, or was edited in another tool.
            UnavailableError: A file cannot be written.
        """
        with self._writing:
            dataset, decisions = self._project.dataset, self.journal.decisions()
            if _version(dataset) is not None and not is_applied(dataset, decisions):
                apply_decisions(dataset, decisions)
                self._project.events.send("review", {"applied": len(decisions)})

    def close(self) -> None:
        """Write decisions into the dataset, and end the thread; wait for that a while."""
        self._closed.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(_CLOSING_S)

    def _start(self) -> None:
        self._changed.set()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="review", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        """Arrange the queue, then write what was decided once nothing is decided for a while."""
        with contextlib.suppress(OSError):  # of this thread alone
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        spent = 0.0
        while not self._closed.is_set() and self._changed.wait():
            self._changed.clear()
            try:
                self._arrange()
                while not self._closed.is_set() and self._changed.wait(max(_SETTLE_S, _SETTLE_SHARE * spent)):
                    self._changed.clear()
                    self._arrange()
                began = time.monotonic()
                self.flush()
                spent = time.monotonic() - began
                self.problem = None
            except EdgeloopError as error:
                self.problem = str(error)
                log.warning("%s", error)
                self._project.events.send("review", {"problem": self.problem})

    def _path(self, file: str) -> Path:
        return self._paths.get(file) or self._project.frames / file  # a frame that is gone

    def _arrange(self) -> None:
        review = self._open
        if review is None or review.queue is not None or self._closed.is_set():
            return
        send = self._project.events.send

        def advance(done: int, total: int) -> None:
            review.done, review.total = done, total
            if done % 50 < 16 or done == total:
                send("review", {"done": done, "total": total})

        review.queue = build_queue(review.found, self._path, self._project.work / "review", advance)
        send("review", {"looks": len(review.queue.looks)})


def _version(dataset: Path) -> tuple[int, int, int] | None:
    """Identity of a dataset, which decisions do not change; None if there is none."""
    return file_version(dataset / "data.yaml")
