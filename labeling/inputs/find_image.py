"""Images that labels name, found among the frames and beside the labels."""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from edgeloop.edge.sources.images import is_image
from edgeloop.models.errors import DataError

__all__ = ["ImageFinder"]

# In front of the name Label Studio writes 8 digits, others a UUID; behind it Roboflow writes 32.
_HASH_IN_FRONT = re.compile(
    r"^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{8})[-_]", re.I
)
_HASH_BEHIND = re.compile(r"^(.+)_(jpe?g|png|bmp|webp|tiff?)\.rf\.[0-9a-zA-Z]+$", re.I)


class ImageFinder:
    """Finds images by the names that drawing tools write."""

    def __init__(self, labels: Path, frames_folder: Path) -> None:
        """Remember where to look.

        Args:
            labels: COCO json, or folder of label files; for messages, and for images beside it.
            frames_folder: The frames to label.
        """
        self._labels = labels
        self._frames_folder = frames_folder
        self._beside = labels if labels.is_dir() else labels.parent
        self._by_key: dict[Callable[[str], str], dict[str, list[Path]]] = {}

    def find(self, file_name: str) -> Path:
        """Find the image that a COCO json names, as it is written or as a tool changed it.

        A path with folders that exists, seen from the json, is what it says. Otherwise the name is looked for
        among the frames, beside the json and in images/ beside it.

        Raises:
            DataError: There is no such image, or there are several different ones.
        """
        spellings = list(dict.fromkeys((file_name, _posix(file_name), _posix(unquote(file_name)))))
        places = [self._beside, self._beside / "images"]
        if self._beside.name == "annotations":
            folder = self._beside.parent / "images"
            places += [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]
        for spelling in spellings:
            if len(PurePosixPath(spelling).parts) > 1:
                pointed = [place / spelling for place in places if _is_file(place / spelling)]
                if pointed:
                    return self.prefer_frame(pointed[0])
        for spelling in spellings:
            name = PurePosixPath(spelling).name
            found = [place / name for place in (self._frames_folder, *places) if _is_file(place / name)]
            if found:
                return self._only(file_name, found)
        name = PurePosixPath(spellings[-1]).name
        return self._only(file_name, self._like(name, _key))

    def find_frame(self, file: Path) -> Path:
        """Find the frame that a label file is named after; DataError as of `find`."""
        exact = [path for path in _images(self._frames_folder) if path.stem == file.stem]
        found = exact or self._like(f"{file.stem}.jpg", _stem_key)
        if not found:
            raise DataError(f"{file}: there is no image {file.stem} in {self._frames_folder}")
        return self._only(file.stem, found)

    def prefer_frame(self, image: Path) -> Path:
        """Frame that is the same file as an image beside the labels, or that image."""
        frame = self._frames_folder / image.name
        same = _is_file(frame) and filecmp.cmp(frame, image, shallow=False)
        return (frame if same else image).resolve()

    def _like(self, name: str, key: Callable[[str], str]) -> list[Path]:
        """Frames whose name is the same but for what tools change."""
        if key not in self._by_key:
            self._by_key[key] = {}
            for path in _images(self._frames_folder):
                self._by_key[key].setdefault(key(path.name), []).append(path)
        frames = self._by_key[key]
        return next((frames[own] for own in _keys(name, key) if own in frames), [])

    def _only(self, file_name: str, found: Sequence[Path]) -> Path:
        if not found:
            raise DataError(
                f"{self._labels}: image {file_name[:200]} is neither in {self._frames_folder} "
                "nor beside its boxes"
            )
        first, *others = {path.resolve(): None for path in found}
        for other in others:
            if not filecmp.cmp(first, other, shallow=False):
                raise DataError(
                    f"{self._labels}: image {file_name[:200]}: {first} and {other} are different files; "
                    "remove or rename one of them"
                )
        return first


def _keys(name: str, key: Callable[[str], str]) -> Iterable[str]:
    """Keys of the names that a tool may have made this one of."""
    yield key(name)
    if _HASH_IN_FRONT.match(name):
        yield key(_HASH_IN_FRONT.sub("", name))
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  Path.stem refuses some names
    if behind := _HASH_BEHIND.match(stem):
        yield key(f"{behind[1]}.{behind[2]}")
        yield key(f"{behind[1]}{suffix}")


def _key(name: str) -> str:
    """Name without case and without what uploads drop: spaces become underscores, odd characters go."""
    return re.sub(r"[^\w.-]", "", name.strip().replace(" ", "_")).casefold()


def _stem_key(name: str) -> str:
    return os.path.splitext(_key(name))[0]  # noqa: PTH122


def _posix(file_name: str) -> str:
    """Path with forward slashes, without drive, address and query."""
    path = file_name.replace("\\", "/")
    if local := re.search(r"[?&]d=([^&]+)", path):  # Label Studio's local files
        path = local[1]
    return re.sub(r"^(?:[a-zA-Z][\w+.-]*://[^/]*/|[a-zA-Z]:/*|/+)", "", path.partition("?")[0])


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  Path.is_file raises for names that are too long


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_image(path)) if folder.is_dir() else []
