"""Audit of one dataset as a page shows it: the sample, the answers to it, and the figures."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from edgeloop.edge.host.file_version import file_version
from edgeloop.labeling.audit.answers import (
    AnswerBook,
    Answers,
    Point,
    keep_aside,
    open_answers,
    read_sample_size,
)
from edgeloop.labeling.audit.estimate import Estimate, estimate
from edgeloop.labeling.audit.sample import Sample, draw_sample
from edgeloop.labeling.dataset.read import INSTANCES
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["AuditSession"]


class AuditSession:
    """Thread-safe audit of a dataset, which `edgeloop label` may replace meanwhile."""

    def __init__(
        self,
        dataset: Path,
        *,
        sample: Sample | None = None,
        open_book: Callable[[Sample], AbstractContextManager[AnswerBook]] = open_answers,
    ) -> None:
        """Begin without a sample, unless one is given.

        Args:
            dataset: Folder that `edgeloop label` wrote or will write.
            sample: The only sample that is asked about; None if the page may choose one.
            open_book: Opens the answers to a sample, for each request.
        """
        self.dataset = dataset
        self.fixed = sample is not None
        self._sample = sample
        self._open_book = open_book
        self._lock = threading.Lock()
        self._version = self._version_now() if sample else None

    def sample(self) -> Sample | None:
        """Sample that is being asked about: the one of audit.json if none was drawn; None without either.

        Raises:
            NoInputError: There is no dataset.
            DataError: audit.json holds answers about other labels; see also `draw_sample`.
        """
        with self._lock:
            version = self._version_now()
            if self._sample is not None and version == self._version:
                return self._sample
            if self.fixed:
                raise DataError(f"{self.dataset}: its labels changed meanwhile; give the command again")
            self._sample = None
            size = read_sample_size(self.dataset)
            if size is not None:
                self._draw(*size)
            return self._sample

    def start(self, boxes: int, frames: int, seed: int) -> Sample:
        """Draw another sample; answers to an earlier one are kept in audit-1.json, audit-2.json, ...

        Raises:
            DataError: The sample is fixed; see also `draw_sample`.
        """
        with self._lock:
            if self.fixed:
                raise DataError("the command chose the sample; --boxes, --frames and --seed choose another")
            before = read_sample_size(self.dataset)
            sample = draw_sample(self.dataset, boxes=boxes, frames=frames, seed=seed)
            if before is not None:
                keep_aside(self.dataset)
            self._sample, self._version = sample, self._version_now()
            return sample

    def answers(self) -> Answers:
        """Answers so far."""
        sample = self._asked()
        with self._lock, self._open_book(sample) as book:
            return book.answers

    def answer_box(self, place: int, right: bool) -> bool:
        """Save an answer about a box; True if everything is answered. Errors as of `AnswerBook`."""
        return self._answer(lambda book: book.answer_box(place, right))

    def answer_frame(self, place: int, missed: tuple[Point, ...]) -> bool:
        """Save an answer about a frame; True if everything is answered. Errors as of `AnswerBook`."""
        frames = self._asked().frames
        if place < len(frames):
            frame = frames[place]
            if any(x > frame.width or y > frame.height for x, y in missed):
                raise DataError(f"missed: outside the frame of {frame.width}x{frame.height}")
        return self._answer(lambda book: book.answer_frame(place, missed))

    def estimate(self) -> Estimate:
        """Precision and recall from the answers so far."""
        return estimate(self._asked(), self.answers())

    def _answer(self, put: Callable[[AnswerBook], None]) -> bool:
        sample = self._asked()
        with self._lock, self._open_book(sample) as book:
            try:
                put(book)
            except IndexError as error:
                raise DataError(str(error)) from error
            return book.complete

    def _asked(self) -> Sample:
        sample = self.sample()
        if sample is None:
            raise NoInputError(f"{self.dataset}: no sample was drawn yet")
        return sample

    def _draw(self, boxes: int, frames: int, seed: int) -> None:
        sample = draw_sample(self.dataset, boxes=boxes, frames=frames, seed=seed)
        with self._open_book(sample):  # refuses answers about other labels
            self._sample, self._version = sample, self._version_now()

    def _version_now(self) -> tuple[int, int, int]:
        version = file_version(self.dataset / INSTANCES)
        if version is None:
            raise NoInputError(f"{self.dataset}: there is no dataset yet; label the frames first")
        return version
