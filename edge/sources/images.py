"""Image files as a source: one, a folder of them, or what a glob matches."""

from __future__ import annotations

import glob
import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from edgeloop.edge.frame import Frame
from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.sources.footage import Footage
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["ImageFiles", "is_image", "natural_key", "open_folder", "open_glob"]

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


class ImageFiles(Footage):
    """Image files in the order given; `Frame.index` is the position in that order."""

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        """Remember the files; they are read when their turn comes.

        Args:
            name: Source as the user wrote it.
            paths: At least one file.
        """
        self.name = name
        self.length = len(paths)
        self.skipped = 0
        self._paths = paths

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            if self._stopped:
                return
            image = read_image(path)
            if image is None:
                self._skip(path)
            else:
                yield Frame(image, index, time.monotonic(), time.time(), str(path))

    def _skip(self, path: Path) -> None:
        """Count and report an unreadable file. Fail if no file can be read."""
        self.skipped += 1
        if self.skipped == self.length:
            what = "not an image that can be read" if self.length == 1 else "not one image can be read"
            raise DataError(f"source {self.name}: {what} (corrupt, cut off, or not an image at all)")
        log.warning("%s: not an image that can be read; set aside", path)


def is_image(path: Path) -> bool:
    """True if the name of a file says that it is an image."""
    return path.suffix.lower() in SUFFIXES


def open_folder(folder: Path) -> ImageFiles:
    """Open the images directly in a folder, in natural order.

    Raises:
        NoInputError: There is no image in it.
    """
    return _open(str(folder), folder.iterdir(), "the folder holds no image")


def open_glob(pattern: str) -> ImageFiles:
    """Open the images that a glob pattern matches, `**` included, in natural order.

    Raises:
        NoInputError: It matches no image.
    """
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern
    return _open(pattern, map(Path, matches), "the pattern matches no image")


def _open(name: str, paths: Iterable[Path], otherwise: str) -> ImageFiles:
    images = sorted(filter(is_image, paths), key=natural_key)
    if not images:
        raise NoInputError(f"source {name}: {otherwise} ({', '.join(sorted(SUFFIXES))})")
    return ImageFiles(name, images)


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort key of the natural order, in which 2.jpg comes before 10.jpg."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
