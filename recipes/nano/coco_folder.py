"""COCO folders with instance masks, to train and to measure a segmenter on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeloop.models.errors import DataError, NoInputError

__all__ = ["Folder", "read_folder"]


@dataclass(frozen=True, slots=True)
class Folder:
    """COCO folder: `instances.json` with RLE masks, beside `images/`.

    Attributes:
        name: Name of the folder.
        paths: Image files.
        sizes: (width, height) of each image, px.
        instances: Compressed RLE of every instance, per image.
    """

    name: str
    paths: tuple[Path, ...]
    sizes: tuple[tuple[int, int], ...]
    instances: tuple[tuple[Any, ...], ...]


def read_folder(folder: Path) -> Folder:
    """Read a COCO folder.

    Args:
        folder: Folder with `instances.json` and `images/`.

    Returns:
        Its images with at least one mask.

    Raises:
        NoInputError: There is no `instances.json`.
        DataError: It is not COCO, or has no RLE masks.
    """
    path = folder / "instances.json"
    if not path.is_file():
        raise NoInputError(f"{path}: no such file; expected a COCO folder with instances.json and images/")
    try:
        coco = json.loads(path.read_text())
        by_image: dict[int, list[Any]] = {}
        for annotation in coco["annotations"]:
            mask = annotation.get("segmentation")
            if isinstance(mask, dict) and not annotation.get("iscrowd"):
                by_image.setdefault(annotation["image_id"], []).append(mask)
        images = [image for image in coco["images"] if image["id"] in by_image]
        entries = [
            (
                folder / "images" / image["file_name"],
                (image["width"], image["height"]),
                tuple(by_image[image["id"]]),
            )
            for image in images
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not COCO instances ({error!r})") from error
    if not entries:
        raise DataError(f"{path}: no instance with an RLE mask")
    paths, sizes, instances = zip(*entries, strict=True)
    return Folder(folder.name, paths, sizes, instances)
