"""What tells one file or dataset from another: written down by its maker, worked out again by its user."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["DatasetDigest", "file_sha256"]


def file_sha256(path: Path) -> str:
    """Digest a file.

    Args:
        path: of the file.

    Returns:
        sha256 of its content, 64 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DatasetDigest:
    """sha256 over class names, file names, images and labels: the same digest, the same dataset."""

    def __init__(self, names: Sequence[str]) -> None:
        """Begin with the classes.

        Args:
            names: In the order of their numbers.
        """
        self._hash = hashlib.sha256("\0".join(names).encode())

    def add(self, split: str, name: str, image: bytes, labels: bytes) -> None:
        """Take an image in; `train` comes before `val`, and each is sorted by name.

        Args:
            split: `train` or `val`.
            name: Of the image, below its split's folder, with forward slashes.
            image: Content of its file.
            labels: Content of its text file, empty where there is none.
        """
        for part in (split.encode(), name.encode(), image, labels):
            self._hash.update(len(part).to_bytes(8, "big") + part)

    def hexdigest(self) -> str:
        """The digest of what was taken in so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()
