"""Small ring of frames, as a device leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.edge.ring.ring_database import IMAGES, open_database, row_of
from edgeloop.edge.ring.ring_entry import RingEntry, Share
from edgeloop.models.detections import Detections

MODEL = "0" * 64


def picture(number: int, size: tuple[int, int] = (64, 48)) -> NDArray[np.uint8]:
    """Image that no other number gives."""
    return np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), np.uint8)


def write_ring(
    folder: Path,
    images: Sequence[NDArray[np.uint8]],
    *,
    first: int = 0,
    shares: Sequence[Share] = ("random", "ranked"),
    names: Sequence[str] = ("thing",),
) -> list[str]:
    """Write frames of one camera, a minute apart, whose doubt rises; names of their files."""
    files = []
    with closing(open_database(folder)) as database:
        row = (MODEL, f'["{names[0]}"]', 0.25)
        database.execute("INSERT OR REPLACE INTO model VALUES (?, ?, ?)", row)
        for place, image in enumerate(images):
            index = first + place
            file = f"gate_{index:06d}.jpg"
            data = cv2.imencode(".jpg", image)[1].tobytes()
            (folder / IMAGES / file).write_bytes(data)
            entry = RingEntry(
                frame=FrameEntry(file, "gate", 900 * index, 60.0 * index, 1e9 + 60 * index),
                share=shares[place % len(shares)],
                inclusion=1.0,
                doubt=index / 1000,
                detections=Detections.empty(),
                model=MODEL,
                size=(image.shape[1], image.shape[0]),
                bytes=len(data),
            )
            values = row_of(entry, kept_at=1e9 + 60 * index, draw=0.5)
            database.execute(f"INSERT INTO frame VALUES ({', '.join('?' * len(values))})", values)
            files.append(file)
    return files
