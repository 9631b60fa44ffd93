"""Exemplars as crops: a folder for each class, an image of each object."""

from __future__ import annotations

from pathlib import Path

from edgeloop.edge.sources.images import is_image, warn_of_unread
from edgeloop.labeling.inputs.exemplars import IGNORE, Crop, Exemplars, find_boxes
from edgeloop.models.errors import DataError

__all__ = ["holds_crops", "read_crops"]


def holds_crops(path: Path) -> bool:
    """True if a path is a folder of folders of images, without boxes.

    Raises:
        DataError: There are several COCO json of boxes.
    """
    if not path.is_dir() or find_boxes(path) is not None:
        return False
    return any(_images(own) for own in _classes(path))


def read_crops(folder: Path, *, decode: bool = True) -> Exemplars:
    """Read folders of crops: the classes by name, and the crops; no frames.

    Args:
        folder: Holds a folder for each class, named like it, with tight crops of objects; a folder `_ignore`
            holds crops of objects that must not be labeled.
        decode: Decode every crop, to fail early.

    Raises:
        DataError: A crop cannot be read, or there is none of a class to label.
    """
    images = {own.name: found for own in _classes(folder) if (found := _images(own))}
    names = tuple(name for name in images if name != IGNORE)
    if not names:
        raise DataError(f"{folder}: there is no crop of a class to label; a folder for each class holds them")
    for own in images:
        warn_of_unread(folder / own)
    crops = tuple(
        Crop(path, names.index(name) if name in names else -1)
        for name, paths in images.items()
        for path in paths
    )
    for crop in crops if decode else ():
        crop.image()
    return Exemplars(names, (), crops)


def _classes(folder: Path) -> list[Path]:
    """Folders of the classes, without hidden ones, such as .ipynb_checkpoints."""
    return sorted(own for own in folder.iterdir() if own.is_dir() and own.name[0] != ".")


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_image(path))
