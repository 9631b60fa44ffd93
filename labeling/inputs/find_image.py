"""Images that labels name, found among the frames and beside the labels."""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import cv2
import numpy as np

from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.sources.images import is_image
from edgeloop.labeling.inputs.frames_folder import FramesFolder, frame_path
from edgeloop.models.errors import DataError

__all__ = ["ImageFinder"]

# In front of the name Label Studio writes 8 digits, others a UUID; behind it Roboflow writes 32.
_HASH_IN_FRONT = re.compile(
    r"^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{8})[-_]", re.I
)
_HASH_BEHIND = re.compile(r"^(.+)_(jpe?g|png|bmp|webp|tiff?)\.rf\.[0-9a-zA-Z]+$", re.I)

_RECODED_LEVELS = 5.0  # of 255, in thumbnails; those of unrelated images differ by dozens


class ImageFinder:
    """Finds images by the names that drawing tools write."""

    def __init__(self, labels: Path, frames_folder: FramesFolder) -> None:
        """Remember where to look.

        Args:
            labels: COCO json, or folder of label files; for messages, and for images beside it.
            frames_folder: The frames to label.
        """
        self._labels = labels
        self._frames_folder = frames_folder
        self._beside = labels if labels.is_dir() else labels.parent
        self._places = [self._beside, self._beside / "images"]
        if self._beside.name == "annotations":
            folder = self._beside.parent / "images"
            self._places += [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]
        self._by_key: dict[tuple[FramesFolder, Callable[[str], str]], dict[str, list[str]]] = {}

    def find(self, file_name: str) -> Path:
        """Find the image that a COCO json names, as it is written or as a tool changed it.

        A path with folders that exists, seen from the json, is what it says. Otherwise the name is looked for
        among the frames, beside the json and in images/ beside it.

        Raises:
            DataError: There is no such image, or there are several different ones.
        """
        spellings = list(dict.fromkeys((file_name, _posix(file_name), _posix(unquote(file_name)))))
        for spelling in spellings:
            if len(PurePosixPath(spelling).parts) > 1:
                pointed = [place / spelling for place in self._places if _is_file(place / spelling)]
                if pointed:
                    return self.prefer_frame(pointed[0])
        for spelling in spellings:
            name = PurePosixPath(spelling).name
            files = [frame_path(self._frames_folder, name), *(place / name for place in self._places)]
            if found := [file for file in files if _is_file(file)]:
                return self.only(file_name, found)
        name = PurePosixPath(spellings[-1]).name
        return self.only(file_name, self._like(name, _key))

    def find_frame(self, file: Path) -> Path:
        """Find the frame that a label file is named after; DataError as of `find`."""
        found = self.frames(file.stem) or self._like(f"{file.stem}.jpg", _stem_key)
        if not found:
            raise DataError(f"{file}: there is no image {file.stem} in {self._frames_folder}")
        return self.only(file.stem, found)

    def images(self, folder: Path, stem: str) -> list[Path]:
        """List the images directly in a folder whose name has this stem."""
        return self._named(folder, stem)

    def frames(self, stem: str) -> list[Path]:
        """List the frames whose name has this stem."""
        return self._named(self._frames_folder, stem)

    def prefer_frame(self, image: Path) -> Path:
        """Frame that an image beside the labels is a copy of, also a recoded one, or that image."""
        frames = self.frames(image.stem)
        copies = [frame for frame in frames if filecmp.cmp(frame, image, shallow=False)]
        copies = copies or [frame for frame in frames if _look_same(frame, image)]
        return (copies or [image])[0].resolve()

    def only(self, file_name: str, found: Sequence[Path]) -> Path:
        """Only image of those found for a name; DataError as of `find`."""
        if not found:
            place = f"neither in {self._frames_folder} nor beside its boxes"
            if self._frames_folder == self._beside:  # no other folder was named
                place = "not beside its boxes; put it there, or name its folder (teach and stats: --images)"
            raise DataError(f"{self._labels}: image {file_name[:200]} is {place}")
        first, *others = {path.resolve(): None for path in found}
        for other in others:
            if not filecmp.cmp(first, other, shallow=False):
                raise DataError(
                    f"{self._labels}: image {file_name[:200]}: {first} and {other} are different files; "
                    "remove or rename one of them"
                )
        return first

    def _like(self, name: str, key: Callable[[str], str]) -> list[Path]:
        """Frames whose name is the same but for what tools change."""
        frames = self._index(self._frames_folder, key)
        names: list[str] = next((frames[own] for own in _keys(name, key) if own in frames), [])
        return [frame_path(self._frames_folder, own) for own in names]

    def _named(self, folder: FramesFolder, stem: str) -> list[Path]:
        paths = (frame_path(folder, name) for name in self._index(folder, _stem).get(stem, []))
        return [path for path in paths if path.is_file()]

    def _index(self, folder: FramesFolder, key: Callable[[str], str]) -> dict[str, list[str]]:
        """Names of the images of a folder by their key."""
        if (folder, key) not in self._by_key:
            index: dict[str, list[str]] = {}
            for name in _images(folder) if isinstance(folder, Path) else folder.names():
                index.setdefault(key(name), []).append(name)
            self._by_key[folder, key] = index
        return self._by_key[folder, key]


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


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122  as `_stem_key`


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


def _look_same(one: Path, other: Path) -> bool:
    """True if two files are images of one size and look the same."""
    first, second = read_image(one), read_image(other)
    if first is None or second is None or first.shape != second.shape:
        return False
    small = [cv2.resize(own, (32, 32), interpolation=cv2.INTER_AREA) for own in (first, second)]
    return float(np.mean(cv2.absdiff(*small))) <= _RECODED_LEVELS


def _images(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if is_image(path)) if folder.is_dir() else []
