"""Rings with made-up answers of a device, and teachers that answer from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.edge.ring.ring_database import IMAGES, Ring, open_database, read_ring, row_of
from edgeloop.edge.ring.ring_entry import RingEntry, Share
from edgeloop.labeling.engine.calibration import Calibration
from edgeloop.labeling.engine.coverage import Coverage
from edgeloop.models.detections import Detections

DIGEST = "a" * 64
SIZE = (64, 48)
SURE = Coverage(((20, 20),) * 5, {"bolt": (60, 60), "nut": (40, 40)})


def boxes(places: Sequence[int], score: float = 0.9, class_id: int = 0) -> Detections:
    """Boxes at some of eight places of a frame that do not touch."""
    corners = np.array([[8 * k, 8, 8 * k + 7, 20] for k in range(8)], np.float32)
    return Detections(
        corners[list(places)].reshape(-1, 4),
        np.full(len(places), score, np.float32),
        np.full(len(places), class_id, np.int64),
    )


def entry(
    number: int,
    detections: Detections,
    *,
    share: Share = "random",
    inclusion: float = 1.0,
    camera: str = "gate",
    wall_time: float | None = None,
    doubt: float = 0.0,
    model: str = DIGEST,
) -> RingEntry:
    """Entry of frame `number`."""
    frame = FrameEntry(f"{camera}-{number:04d}.jpg", camera, number, None, wall_time)
    return RingEntry(frame, share, inclusion, doubt, detections, model, SIZE, 1000)


def write_ring(
    folder: Path,
    entries: Sequence[RingEntry],
    *,
    names: Sequence[str] = ("bolt", "nut"),
    digest: str = DIGEST,
) -> Ring:
    """Write a ring whose images have the number of their frame in the brightness of the first pixel."""
    with closing(open_database(folder)) as database:
        values = (digest, str(list(names)).replace("'", '"'), 0.25)
        database.execute("INSERT OR REPLACE INTO model VALUES (?, ?, ?)", values)
        for number, own in enumerate(entries):
            image = np.full((SIZE[1], SIZE[0], 3), own.frame.index, np.uint8)
            cv2.imwrite(str(folder / IMAGES / own.frame.file), image)
            row = row_of(own, kept_at=float(number), draw=0.5)
            marks = ", ".join("?" * len(row))
            database.execute(f"INSERT OR REPLACE INTO frame VALUES ({marks})", row)
    return read_ring(folder)


class TableTeacher:
    """Teacher that knows each frame by its brightness."""

    def __init__(self, found: Mapping[int, Detections], coverage: Coverage | None = SURE) -> None:
        self.found, self.coverage = found, coverage
        self.calibration = Calibration(0.0, 0.1)
        self.asked: list[int] = []

    def detect(self, image: NDArray[np.uint8], /) -> Detections:
        number = int(np.median(image))
        self.asked.append(number)
        return self.found.get(number, Detections.empty())
