"""Boxes in YOLO text files, as labelImg and CVAT write them: one file per image, one line per box."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.sources.images import is_image
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["read_yolo_boxes"]

_NAMES = "classes.txt"


def read_yolo_boxes(folder: Path, frames_folder: Path) -> dict[str, Any]:
    """Read text files of boxes as a COCO object: images, annotations with boxes in pixels, categories.

    Each line is `class x y width height`: a line number of `classes.txt`, from 0, and center and size
    relative to the image. An empty file is an image without objects. Images are in `folder` or in
    `frames_folder`.

    Raises:
        NoInputError: The folder has no `classes.txt`, or no text file beside it.
        DataError: A line is malformed, or an image is missing or unreadable.
    """
    try:
        names = [line.strip() for line in (folder / _NAMES).read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise NoInputError(
            f"{folder}: has no {_NAMES}; expected YOLO text files and {_NAMES} with a class name a line"
        ) from error
    files = sorted(path for path in folder.glob("*.txt") if path.name != _NAMES)
    if not files:
        raise NoInputError(f"{folder}: holds no text file of boxes; expected one a frame, named like it")
    frames = {
        path.stem: path for place in (folder, frames_folder) for path in place.iterdir() if is_image(path)
    }
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, file in enumerate(files):
        if file.stem not in frames:
            raise DataError(f"{file}: there is no image {file.stem} in {frames_folder}")
        height, width = require_image(frames[file.stem]).shape[:2]
        images.append({"id": number, "file_name": frames[file.stem].name})
        for row, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if line.strip():
                class_id, (x, y, w, h) = _parse(line, f"{file}:{row}", names)
                box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
                annotations.append({"image_id": number, "category_id": class_id, "bbox": box})
    categories = [{"id": number, "name": name} for number, name in enumerate(names) if name]
    return {"images": images, "annotations": annotations, "categories": categories}


def _parse(line: str, where: str, names: Sequence[str]) -> tuple[int, tuple[float, ...]]:
    parts = line.split()
    try:
        class_id, box = int(parts[0]), tuple(float(part) for part in parts[1:])
    except ValueError:
        raise DataError(f"{where}: expected `class x y width height`, got {line.strip()[:60]!r}") from None
    if len(box) != 4:
        raise DataError(f"{where}: expected a class and 4 numbers, got {len(parts)} columns")
    if not (0 <= class_id < len(names) and names[class_id]):
        raise DataError(f"{where}: class {class_id} has no name; {_NAMES} has {len(names)} lines")
    if not all(0 <= share <= 1 for share in box):
        raise DataError(f"{where}: expected shares of the image's size, 0 to 1, got {line.strip()[:60]!r}")
    return class_id, box
