"""SHA-256 digests of files and datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["DatasetDigest", "file_sha256"]


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
