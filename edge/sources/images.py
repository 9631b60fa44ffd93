"""Image files as a source: one, a folder of them, or what a glob matches."""

from __future__ import annotations

import glob
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from edgeloop.edge.frame import Frame
from edgeloop.edge.host.file_names import printable_name
from edgeloop.edge.host.image_bytes import HEIF_HINT, image_fault, reads_avif, reads_heic
from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.source_name import shown_name
from edgeloop.edge.sources.footage import Footage
from edgeloop.models.errors import DataError, NoInputError

__all__ = [
    "PICTURE_SUFFIXES",
    "ImageFiles",
    "count_unread",
    "is_image",
    "natural_key",
    "open_folder",
    "open_glob",
    "warn_of_unread",
    "warn_of_unread_files",
]

log = logging.getLogger(__name__)

SUFFIXES = frozenset(
    {".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
PICTURE_SUFFIXES = SUFFIXES | _HEIC_SUFFIXES | {".avif"}
"""Kinds of files that hold a picture, whether or not it can be read here."""

_NOTES = frozenset(
    {".cache", ".csv", ".db", ".ini", ".json", ".jsonl", ".md", ".txt", ".xml", ".yaml", ".yml"}
)
"""Kinds of files that belong beside images."""


class ImageFiles(Footage):
    """Image files in the order given; `Frame.index` is the position in that order."""

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        """Remember the files; they are read when their turn comes.

        Args:
            name: Source as the user wrote it.
            paths: At least one file.
        """
        self.name = printable_name(name)
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
                yield Frame(image, index, time.monotonic(), time.time(), printable_name(path))

    def _skip(self, path: Path) -> None:
        """Count and report an unreadable file. Fail if no file can be read."""
        self.skipped += 1
        if self.skipped == self.length:
            if self.length == 1:
                raise DataError(f"source {self.name}: {image_fault(path)}")
            raise DataError(
                f"source {self.name}: not one image can be read ({path.name}: {image_fault(path)})"
            )
        log.warning("%s: %s; set aside", path, image_fault(path))


def is_image(path: Path) -> bool:
    """True if the name of a file says that it is an image of a kind that can be read here.

    HEIC and AVIF need a decoder. `._a.jpg` is what macOS leaves beside a.jpg.
    """
    suffix = path.suffix.lower()
    if path.name.startswith("._"):
        return False
    if suffix in _HEIC_SUFFIXES:
        return reads_heic()
    return suffix in SUFFIXES or (suffix == ".avif" and reads_avif())


def count_unread(paths: Iterable[Path], is_folder: Callable[[Path], bool] = Path.is_dir) -> str:
    """Count what is not read of a folder, by kind.

    Args:
        paths: Contents of the folder.
        is_folder: Tells subfolders from files.

    Returns:
        Such as "2 .heic (pip install 'edgeloop[heif]'), 1 .mp4, 3 subfolders"; empty if there is nothing but
        images, hidden files, and text files such as labels.
    """
    kinds: Counter[str] = Counter()
    for path in paths:
        suffix = path.suffix.lower()
        if path.name.startswith(".") or (suffix in _NOTES and not is_folder(path)) or is_image(path):
            continue
        kinds["subfolder" if is_folder(path) else suffix or "file without a suffix"] += 1
    return ", ".join(f"{count} {_kind(kind, count)}" for kind, count in sorted(kinds.items()))


def warn_of_unread(folder: Path, *, deep: bool = False) -> None:
    """Name in the log what is not read of a folder of images; with `deep`, its subfolders are read too."""
    files = folder.iterdir() if not deep else (path for path in folder.rglob("*") if not path.is_dir())
    warn_of_unread_files(str(folder), files)


def warn_of_unread_files(
    name: str, paths: Iterable[Path], is_folder: Callable[[Path], bool] = Path.is_dir
) -> None:
    """Name in the log what is not read of `name`, with `count_unread` of its contents."""
    if unread := count_unread(paths, is_folder):
        log.warning("%s: not read: %s", printable_name(name), unread)


def _kind(kind: str, count: int) -> str:
    if kind in _HEIC_SUFFIXES or kind == ".avif":
        return f"{kind} ({HEIF_HINT})"
    if kind.startswith("."):
        return kind
    return kind.replace("subfolder", "subfolders").replace("file ", "files ") if count > 1 else kind


def open_folder(folder: Path) -> ImageFiles:
    """Open the images directly in a folder, in natural order.

    What else it holds is named in the log, by kind.

    Raises:
        NoInputError: There is no image in it.
    """
    source = _open(str(folder), list(folder.iterdir()), "the folder holds no image")
    warn_of_unread(folder)
    return source


def open_glob(pattern: str) -> ImageFiles:
    """Open the images that a glob pattern matches, `**` included, in natural order.

    Raises:
        NoInputError: It matches no image.
    """
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern
    paths = list(map(Path, matches))
    source = _open(pattern, paths, "the pattern matches no image")
    warn_of_unread_files(pattern, (path for path in paths if not path.is_dir()))
    return source


def _open(name: str, paths: Sequence[Path], otherwise: str) -> ImageFiles:
    images = sorted(filter(is_image, paths), key=natural_key)
    if not images:
        unread = count_unread(paths)
        known = ", ".join(sorted(SUFFIXES))
        raise NoInputError(f"source {shown_name(name)}: {otherwise} ({known}){unread and f', but {unread}'}")
    return ImageFiles(name, images)


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort key of the natural order, in which 2.jpg comes before 10.jpg."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
