"""Answers of a person, saved after every one so that an interrupted audit can resume."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import BaseModel, ConfigDict

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.labeling.audit.sample import Sample
from edgeloop.models.errors import DataError, UnavailableError
from edgeloop.models.json_file import read_json

__all__ = ["ANSWERS", "AnswerBook", "Answers", "Point", "keep_aside", "open_answers", "read_sample_size"]

Point = tuple[Annotated[float, Ge(0)], Annotated[float, Ge(0)]]
"""x, y in pixels of the image."""

ANSWERS = "audit*.json"
"""Names of the files of answers in a dataset, also of earlier samples."""

_NAME = "audit.json"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _SampleKey(_Strict):
    """Identity of a sample."""

    digest: str
    seed: int
    boxes: tuple[int, ...]
    frames: tuple[int, ...]


class Answers(_Strict):
    """Answers so far.

    Attributes:
        boxes: For the first boxes of the sample, True if class and box are right.
        frames: For the first frames of the sample, one point in each object that has no right label.
    """

    boxes: tuple[bool, ...] = ()
    frames: tuple[tuple[Point, ...], ...] = ()


class _File(_Strict):
    """Content of audit.json."""

    version: Literal[1] = 1
    sample: _SampleKey
    answers: Answers


class AnswerBook:
    """Thread-safe store of the answers to a sample."""

    def __init__(self, path: Path, sample: Sample) -> None:
        """Open the answers to a sample; the file is created with the first answer.

        Raises:
            DataError: The file holds answers to another sample, or is none of ours.
        """
        self._path = path
        self._key = _key(sample)
        self._lock = threading.Lock()
        self._answers = self._load()

    @property
    def answers(self) -> Answers:
        """Answers so far."""
        return self._answers

    @property
    def complete(self) -> bool:
        """True if everything is answered."""
        answers = self._answers
        return len(answers.boxes) == len(self._key.boxes) and len(answers.frames) == len(self._key.frames)

    def answer_box(self, index: int, right: bool) -> None:
        """Set or change the answer for a box; it is saved when this returns.

        Args:
            index: Place in the sample; the next one, or one that has been answered.
            right: True if class and box are right.

        Raises:
            IndexError: There is no such place, or those before it have not been answered.
            UnavailableError: The answer cannot be written.
        """
        with self._lock:
            boxes = list(self._answers.boxes)
            boxes[_place(index, len(boxes), len(self._key.boxes))] = [right]
            self._save(Answers(boxes=tuple(boxes), frames=self._answers.frames))

    def answer_frame(self, index: int, missed: tuple[Point, ...]) -> None:
        """Set or change the answer for a frame, with the index and the errors of `answer_box`.

        `missed` is a point in each object that has no right label; empty if nothing was missed.
        """
        with self._lock:
            frames = list(self._answers.frames)
            frames[_place(index, len(frames), len(self._key.frames))] = [missed]
            self._save(Answers(boxes=self._answers.boxes, frames=tuple(frames)))

    def _load(self) -> Answers:
        found = _read(self._path)
        if found is None:
            return Answers()
        if found.sample != self._key:
            raise DataError(
                f"{self._path}: holds the answers of an audit of {_difference(found.sample, self._key)}; "
                "give that command again to go on with it, or move the file away to begin a new one"
            )
        fits = len(found.answers.boxes) <= len(self._key.boxes)
        if not fits or len(found.answers.frames) > len(self._key.frames):
            raise DataError(f"{self._path}: holds more answers than questions; move it away to begin anew")
        return found.answers

    def _save(self, answers: Answers) -> None:
        text = _File(sample=self._key, answers=answers).model_dump_json(indent=1)
        replace_file(self._path, text.encode())
        self._answers = answers


@contextmanager
def open_answers(sample: Sample) -> Iterator[AnswerBook]:
    """Open a dataset's audit.json, and lock it against a second audit.

    Raises:
        DataError: audit.json holds answers to another sample, or another audit of this dataset is running.
    """
    refusal = f"{sample.dataset}: another audit of this dataset is running; end it first"
    with locked_folder(sample.dataset, refusal):
        yield AnswerBook(sample.dataset / _NAME, sample)


def read_sample_size(dataset: Path) -> tuple[int, int, int] | None:
    """Read numbers of boxes and frames and the seed of the sample that audit.json is about; None without one.

    Raises:
        DataError: audit.json is none of ours.
    """
    found = _read(dataset / _NAME)
    if found is None:
        return None
    return len(found.sample.boxes), len(found.sample.frames), found.sample.seed


def keep_aside(dataset: Path) -> None:
    """Rename audit.json to the first free of audit-1.json, audit-2.json, ...

    Raises:
        UnavailableError: It cannot be renamed.
    """
    number = 1
    while (aside := dataset / f"audit-{number}.json").exists():
        number += 1
    try:
        (dataset / _NAME).rename(aside)
    except OSError as error:
        raise UnavailableError(f"{dataset / _NAME}: cannot be renamed ({error.strerror})") from error


def _read(path: Path) -> _File | None:
    return read_json(path, _File, "not answers of an audit, move it away to begin a new one")


def _key(sample: Sample) -> _SampleKey:
    return _SampleKey(
        digest=sample.digest,
        seed=sample.seed,
        boxes=tuple(box.id for box in sample.boxes),
        frames=tuple(frame.id for frame in sample.frames),
    )


def _difference(found: _SampleKey, wanted: _SampleKey) -> str:
    """Describe the difference of two samples, the deepest one first."""
    if found.digest != wanted.digest:
        return "other labels (instances.json has changed since)"
    if found.seed != wanted.seed:
        return f"--seed {found.seed}, not {wanted.seed}"
    sizes = f"--boxes {len(found.boxes)} --frames {len(found.frames)}"
    return f"another sample ({sizes}), not --boxes {len(wanted.boxes)} --frames {len(wanted.frames)}"


def _place(index: int, answered: int, asked: int) -> slice:
    if not 0 <= index <= answered or index >= asked:
        raise IndexError(f"place {index}: expected one of the {answered} answered, or the next of {asked}")
    return slice(index, index + 1)
