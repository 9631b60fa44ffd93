"""SHA-256 digests of files and datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["BoxesDigest", "DatasetDigest", "file_sha256"]


def file_sha256(path: Path) -> str:
    """Compute the sha256 of a file's content, 64 hexadecimal digits; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DatasetDigest:
    """SHA-256 digest of class names, file names, images and labels."""

    def __init__(self, names: Sequence[str]) -> None:
        """Start a digest of the class names, by class number."""
        self._hash = hashlib.sha256("\0".join(names).encode())

    def add(self, split: str, name: str, image: bytes, labels: bytes) -> None:
        """Add an image; `train` comes before `val`, and each is sorted by name.

        Args:
            split: `train` or `val`.
            name: Path of the image below the folder of its split, with forward slashes.
            image: Content of the image file.
            labels: Content of the label file, empty if there is none.
        """
        for part in (split.encode(), name.encode(), image, labels):
            self._hash.update(len(part).to_bytes(8, "big") + part)

    def hexdigest(self) -> str:
        """Digest of everything added so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()


class BoxesDigest:
    """SHA-256 digest of boxes on images, the same in any order."""

    def __init__(self) -> None:
        """Start a digest of no boxes."""
        self._sum = 0

    def add(self, file_name: str, class_name: str, xywh: Sequence[float]) -> None:
        """Add a box in pixels; it counts to 0.01 px."""
        row = repr((file_name, class_name, [round(float(value), 2) for value in xywh]))
        digest = hashlib.sha256(row.encode("utf-8", "surrogatepass")).digest()
        self._sum = (self._sum + int.from_bytes(digest)) % (1 << 256)

    def hexdigest(self) -> str:
        """Digest of everything added so far, 64 hexadecimal digits."""
        return f"{self._sum:064x}"
