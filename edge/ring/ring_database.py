"""Database of a ring, RING/ring.sqlite3: one row for each frame that it keeps.

A row is written after its image and removed before it, so that every row has an image whenever a process is
killed. Readers see the rows as they were at one moment, also while a device writes.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.edge.ring.ring_entry import RingEntry, RingModel
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["IMAGES", "RING_FILE", "Ring", "open_database", "read_ring", "require_ring", "row_of"]

RING_FILE = "ring.sqlite3"
"""Name of the database in the folder of a ring."""

IMAGES = "images"
"""Name of the folder of its images."""

_OWN = {IMAGES, "weights.json", "lost+found"}
"""Files that its folder may hold before the database; nothing reads weights.json."""

_FORMAT = 1
_LOG_PAGES = 64
"""Pages of 4 KiB after which the write-ahead log goes into the database: a ring may be small."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS model (digest TEXT PRIMARY KEY, names TEXT NOT NULL, threshold REAL NOT NULL);
CREATE TABLE IF NOT EXISTS frame (
    file TEXT PRIMARY KEY, source TEXT NOT NULL, position INTEGER NOT NULL, time_s REAL, wall_time REAL,
    kept_at REAL NOT NULL, share TEXT NOT NULL, draw REAL NOT NULL, inclusion REAL NOT NULL,
    doubt REAL NOT NULL, signs TEXT NOT NULL, detections TEXT NOT NULL, model TEXT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS frame_draw ON frame (share, draw);
CREATE INDEX IF NOT EXISTS frame_source ON frame (source, kept_at);
CREATE INDEX IF NOT EXISTS frame_age ON frame (kept_at);
CREATE TABLE IF NOT EXISTS gain (file TEXT PRIMARY KEY, value REAL NOT NULL, thumbnail BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS gain_value ON gain (value);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring as it was at one moment.

    Attributes:
        folder: Its folder.
        entries: Frames in the order of their sources and times.
        models: Models that answered on them, by digest.
    """

    folder: Path
    entries: tuple[RingEntry, ...]
    models: Mapping[str, RingModel]

    def path(self, entry: RingEntry) -> Path:
        """Path of the image of an entry; a device that runs may have removed it since."""
        return self.folder / IMAGES / entry.frame.file


def open_database(folder: Path) -> sqlite3.Connection:
    """Open the database of a ring to write, and create it if it is missing.

    Raises:
        DataError: The file is no ring, or of another version, or the folder holds something else.
    """
    path = folder / RING_FILE
    is_new = folder.is_dir() and not path.exists()
    others = {each.name for each in folder.iterdir()} - _OWN if is_new else set()
    if others:
        raise DataError(
            f"{folder}: expected a ring or a new folder, got one with {sorted(others)[0]} in it; name another"
        )
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    try:
        database = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
        _check_format(database, path)
        database.executescript(_SCHEMA)
        database.execute(f"PRAGMA user_version={_FORMAT}")
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path}: cannot be used as a ring ({error}); name another folder") from error
    return database


def require_ring(folder: Path) -> None:
    """Refuse a folder that holds no ring.

    Raises:
        NoInputError: There is no ring in the folder.
    """
    if not (folder / RING_FILE).is_file():
        raise NoInputError(f"{folder}: no ring of frames; expected a folder that `edgeloop run --ring` keeps")


def read_ring(folder: Path) -> Ring:
    """Read a ring, also while a device writes to it.

    Raises:
        NoInputError: There is no ring in the folder.
        DataError: It is damaged, or of another version.
    """
    require_ring(folder)
    path = folder / RING_FILE
    try:
        with closing(_open_to_read(path)) as database:
            _check_format(database, path)
            database.row_factory = sqlite3.Row
            database.execute("BEGIN")
            models = {
                row["digest"]: RingModel(row["digest"], tuple(json.loads(row["names"])), row["threshold"])
                for row in database.execute("SELECT * FROM model")
            }
            entries = tuple(_entries(database))
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is damaged ({error}); restore it, or begin a new ring") from error
    return Ring(folder, entries, models)


def row_of(entry: RingEntry, *, kept_at: float, draw: float) -> tuple[Any, ...]:
    """Make the row of an entry, in the order of the columns.

    Args:
        entry: The entry.
        kept_at: Unix time in seconds when it was kept.
        draw: Random number in [0, 1) by which it is drawn.
    """
    frame, found = entry.frame, entry.detections
    detections = {
        "xyxy": [[round(side, 2) for side in box] for box in found.xyxy.tolist()],
        "confidence": [round(score, 4) for score in found.confidence.tolist()],
        "class_id": found.class_id.tolist(),
    }
    return (
        *(frame.file, frame.source, frame.index, frame.time_s, frame.wall_time),
        *(kept_at, entry.share, draw, entry.inclusion, entry.doubt),
        *("{}", json.dumps(detections), entry.model, *entry.size, entry.bytes),
    )


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open a database to read; a closed one in a folder that cannot be written, without locks and log."""
    is_closed = not path.with_name(f"{path.name}-wal").exists()
    options = "?immutable=1" if is_closed and not os.access(path.parent, os.W_OK) else ""
    return sqlite3.connect(path.absolute().as_uri() + options, isolation_level=None, timeout=5, uri=True)


def _entries(database: sqlite3.Connection) -> Iterator[RingEntry]:
    """Read the rows; one that names a file elsewhere, as no device writes it, is a ValueError."""
    for row in database.execute("SELECT * FROM frame ORDER BY source, kept_at, position"):
        if Path(row["file"]).name != row["file"]:
            raise ValueError(f"file must be a name in {IMAGES}, got {row['file']!r}")
        found = json.loads(row["detections"])
        yield RingEntry(
            frame=FrameEntry(row["file"], row["source"], row["position"], row["time_s"], row["wall_time"]),
            share=row["share"],
            inclusion=row["inclusion"],
            doubt=row["doubt"],
            detections=Detections(
                np.array(found["xyxy"], np.float32).reshape(-1, 4),
                np.array(found["confidence"], np.float32),
                np.array(found["class_id"], np.int64),
            ),
            model=row["model"],
            size=(row["width"], row["height"]),
            bytes=row["bytes"],
        )


def _check_format(database: sqlite3.Connection, path: Path) -> None:
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found not in (0, _FORMAT):
        raise DataError(
            f"{path}: a ring of format {found}, expected {_FORMAT}; use the version of edgeloop that wrote it"
        )
