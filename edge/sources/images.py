"""Image files: one, a folder of them, or what a glob matches; every one counts."""

from __future__ import annotations

import glob
import logging
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.host.opencv import read_image
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["ImageFiles", "is_image", "open_folder", "open_glob"]

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


class ImageFiles(Source):
    """Image files in the order given; `Frame.index` is the place in that order."""

    live = False
    fps = None
    dropped = 0

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        """Remember the files; they are read when their turn comes.

        Args:
            name: The source as the user wrote it.
            paths: At least one file.
        """
        self.name = name
        self.length = len(paths)
        self.skipped = 0
        self._paths = paths
        self._stopped = False

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            if self._stopped:
                return
            image = read_image(path)
            if image is None:
                self._set_aside(path)
            else:
                yield Frame(image, index, time.monotonic(), time.time(), str(path))

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self.stop()

    def _set_aside(self, path: Path) -> None:
        """One bad file among many is no reason to lose the others; nothing but bad files is."""
        self.skipped += 1
        if self.skipped == self.length:
            what = "not an image that can be read" if self.length == 1 else "not one image can be read"
            raise DataError(f"source {self.name}: {what} (corrupt, cut off, or not an image at all)")
        log.warning("%s: not an image that can be read; set aside", path)


def is_image(path: Path) -> bool:
    """Whether the name of a file says that it is an image."""
    return path.suffix.lower() in SUFFIXES


def open_folder(folder: Path) -> ImageFiles:
    """The images that lie directly in a folder, in natural order (2.jpg before 10.jpg).

    Raises:
        NoInputError: There is no image in it.
    """
    paths = sorted((path for path in folder.iterdir() if is_image(path)), key=_natural)
    if not paths:
        raise NoInputError(f"source {folder}: the folder holds no image ({', '.join(sorted(SUFFIXES))})")
    return ImageFiles(str(folder), paths)


def open_glob(pattern: str) -> ImageFiles:
    """The images that a glob pattern matches, `**` included, in natural order.

    Raises:
        NoInputError: It matches no image.
    """
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern
    paths = [path for text in matches if is_image(path := Path(text))]
    if not paths:
        raise NoInputError(f"source {pattern}: the pattern matches no image ({', '.join(sorted(SUFFIXES))})")
    return ImageFiles(pattern, sorted(paths, key=_natural))


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key under which numbers count as numbers."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
