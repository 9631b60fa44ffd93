"""Exemplars as folders of crops: a folder for each class, a picture of each object, no frames around them."""

from __future__ import annotations

from pathlib import Path

from edgeloop.edge.sources.images import is_image
from edgeloop.labeling.inputs.exemplars import IGNORE, Crop, Exemplars
from edgeloop.models.errors import DataError

__all__ = ["holds_crops", "read_crops"]


def holds_crops(path: Path) -> bool:
    """Whether a path is a folder whose folders hold images."""
    return path.is_dir() and any(_images(folder) for folder in path.iterdir() if folder.is_dir())


def read_crops(folder: Path) -> Exemplars:
    """Read folders of crops.

    Args:
        folder: Holds a folder for each class, named like it, with one image of each example, cut out tightly;
            a folder `_ignore` holds what must not be labeled.

    Returns:
        The classes in the order of their names, and the crops; no frames.

    Raises:
        DataError: A crop cannot be read, or there is none of a class to label.
    """
    images = {own.name: found for own in sorted(folder.iterdir()) if own.is_dir() and (found := _images(own))}
    names = tuple(name for name in images if name != IGNORE)
    if not names:
        raise DataError(f"{folder}: there is no crop of a class to label; a folder for each class holds them")
    crops = tuple(
        Crop(path, names.index(name) if name in names else -1)
        for name, paths in images.items()
        for path in paths
    )
    for crop in crops:
        crop.image()  # refused now, and not after the frames have been prepared
    return Exemplars(names, (), crops)


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_image(path))
