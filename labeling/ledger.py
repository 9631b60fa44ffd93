"""Results of a labeling job in SQLite, saved after every frame so that an interrupted run can resume."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from edgeloop.models.errors import DataError, UnavailableError, file_remedy

__all__ = ["FrameResult", "Label", "LabeledRow", "Ledger"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS frame (
    file TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL, result TEXT NOT NULL, look BLOB NOT NULL
) WITHOUT ROWID;
"""
_COLUMNS = ["file", "stamp", "digest", "result", "look"]
_ERRNO = {  # of a file, by what SQLite says
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}


class Label(BaseModel):
    """One object in one frame.

    Attributes:
        xyxy: Box, pixels of the frame; it may differ from the mask's box.
        class_id: Index into the dataset's names.
        score: Confidence, in [0, 1]; 1 for a person's box.
        counts: COCO run lengths of the mask in this frame, compressed; None without a mask.
        prompt: Name of the prompter; "human" for a person's box.
        sam_score: IoU that SAM predicts for the mask; 0 if it was not asked.
        mask_from: What drew the mask: SAM, or a person.
    """

    model_config = ConfigDict(frozen=True)

    xyxy: tuple[float, float, float, float]
    class_id: int
    score: float
    counts: str | None = None
    prompt: str
    sam_score: float
    mask_from: Literal["sam", "human"] = "sam"


class FrameResult(BaseModel):
    """Labels of one frame.

    Attributes:
        file: Name of the image.
        width: Image width, px; 0 if it cannot be read.
        height: Image height, px; 0 if it cannot be read.
        labels: Objects to train on.
        unsure: Less certain objects or classes, for review.json.
        by_person: True if a person drew the boxes, which are then never changed.
        problem: Reason to set the frame aside; None if there is none.
    """

    model_config = ConfigDict(frozen=True)

    file: str
    width: int = 0
    height: int = 0
    labels: tuple[Label, ...] = ()
    unsure: tuple[Label, ...] = ()
    by_person: bool = False
    problem: str | None = None

    @property
    def expected_missing(self) -> float:
        """Number of objects that are expected to be missing among the labels, by the unsure ones."""
        return sum(label.score for label in self.unsure)


@dataclass(frozen=True, slots=True)
class LabeledRow:
    """Labeled frame with its digest and look.

    Attributes:
        result: Its labels.
        digest: sha256 of the encoded image; "" if it could not be read, or what came of it is unknown.
        look: What tells recordings apart, as `FrameLook.to_bytes` writes it; empty without a picture.
    """

    result: FrameResult
    digest: str
    look: bytes


class Ledger:
    """One SQLite file, committed after every frame."""

    def __init__(self, path: Path, job: Mapping[str, str]) -> None:
        """Open the ledger of a job, or create one; only the same `job` may resume unfinished work.

        Raises:
            DataError: The file belongs to another job or another version of edgeloop, is in use, or is not a
                ledger.
            UnavailableError: It cannot be written.
        """
        self._path = path
        with self._one_clear_error():
            self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._drop_other_format()
            self._db.executescript(_SCHEMA)
            self._claim(job)

    @contextmanager
    def _one_clear_error(self) -> Iterator[None]:
        path = self._path
        try:
            yield
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & 0xFF  # without its details
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise DataError(f"{path.parent}: in use by another run of this command ({error})") from error
            remedy = file_remedy(OSError(_ERRNO.get(code, 0), ""))
            raise UnavailableError(f"{path}: cannot be written ({error}){remedy and '; '}{remedy}") from error
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{path}: not a ledger of ours ({error}); remove {path.parent} to start again"
            ) from error

    def _drop_other_format(self) -> None:
        """Drop the table of frames that another version of edgeloop made, if it has no frame."""
        columns = [name for _, name, *_ in self._db.execute("PRAGMA table_info(frame)")]
        if columns in ([], _COLUMNS):
            return
        if self._any_frame():
            self._db.close()
            raise DataError(
                f"{self._path.parent}: holds unfinished work of another version of edgeloop; finish it with "
                "that version, or remove the folder to start anew"
            )
        self._db.execute("DROP TABLE frame")

    def _any_frame(self) -> bool:
        return self._db.execute("SELECT 1 FROM frame LIMIT 1").fetchone() is not None

    def _claim(self, job: Mapping[str, str]) -> None:
        earlier = dict(self._db.execute("SELECT key, value FROM job"))
        if earlier == dict(job):
            return
        if self._any_frame():
            keys = sorted(key for key in earlier.keys() | job.keys() if earlier.get(key) != job.get(key))
            self._db.close()
            raise DataError(
                f"{self._path.parent}: holds unfinished work with other {', '.join(keys)}; "
                "run that command again to finish it, or remove the folder to start anew"
            )
        self._db.execute("BEGIN")
        self._db.execute("DELETE FROM job")
        self._db.executemany("INSERT INTO job VALUES (?, ?)", job.items())
        self._db.execute("COMMIT")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the ledger; one without a frame leaves no file."""
        try:
            is_empty = not self._any_frame()
        finally:
            self._db.close()
        if is_empty:
            self._path.unlink(missing_ok=True)

    def stamps(self) -> dict[str, tuple[str, str]]:
        """Stamp and digest of the image of each finished frame, by file."""
        rows = self._db.execute("SELECT file, stamp, digest FROM frame")
        return {file: (stamp, digest) for file, stamp, digest in rows}

    def add(self, row: LabeledRow, stamp: str) -> None:
        """Commit a frame; `stamp` is that of its image when it was asked for.

        Raises:
            UnavailableError: It cannot be written; the frames before it are safe.
        """
        values = (row.result.file, stamp, row.digest, row.result.model_dump_json(), row.look)
        with self._one_clear_error():
            self._db.execute("INSERT OR REPLACE INTO frame VALUES (?, ?, ?, ?, ?)", values)

    def restamp(self, file: str, stamp: str) -> None:
        """Note that an image was written again with the same content; errors as of `add`."""
        with self._one_clear_error():
            self._db.execute("UPDATE frame SET stamp = ? WHERE file = ?", (stamp, file))

    def forget_others(self, files: Iterable[str]) -> None:
        """Forget the frames that are not in `files`; errors as of `add`."""
        kept = set(files)
        others = [(file,) for (file,) in self._db.execute("SELECT file FROM frame") if file not in kept]
        with self._one_clear_error():
            self._db.executemany("DELETE FROM frame WHERE file = ?", others)

    def results(self, files: Iterable[str]) -> Iterator[FrameResult]:
        """Read results of finished frames back, one at a time, in the order of `files`."""
        for file in files:
            (text,) = self._db.execute("SELECT result FROM frame WHERE file = ?", (file,)).fetchone()
            yield FrameResult.model_validate_json(text)

    def looks(self, files: Iterable[str]) -> Iterator[bytes]:
        """Read `LabeledRow.look` of finished frames back, as `results` does."""
        for file in files:
            (look,) = self._db.execute("SELECT look FROM frame WHERE file = ?", (file,)).fetchone()
            yield look
