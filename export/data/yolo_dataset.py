"""Labeled datasets on disk, read and checked strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.sources.images import is_image
from edgeloop.models.errors import DataError, NoInputError
from edgeloop.models.weights.digest import DatasetDigest

__all__ = ["Dataset", "LabeledImage", "open_dataset"]


@dataclass(frozen=True, eq=False)
class LabeledImage:
    """One image and its boxes.

    Attributes:
        path: Image file.
        class_id: int64 (N,).
        xywh: float32 (N, 4), center x, center y, width, height as fractions of the image's width and height.
    """

    path: Path
    class_id: NDArray[np.int64]
    xywh: NDArray[np.float32]

    def read(self) -> NDArray[np.uint8]:
        """Decode the image.

        Returns:
            HxWx3 uint8 BGR.

        Raises:
            DataError: The file is not an intact image.
        """
        image = read_image(self.path)
        if image is None:
            raise DataError(f"{self.path}: not a readable image; restore it or remove it")
        return image


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with boxes, split into training and validation part.

    Attributes:
        root: Folder with data.yaml.
        names: Class names, indexed by `class_id`.
        train: Training images.
        val: Held-out images; may be empty.
        digest: sha256 of class names, file names, images and labels.
    """

    root: Path
    names: tuple[str, ...]
    train: tuple[LabeledImage, ...]
    val: tuple[LabeledImage, ...]
    digest: str


def open_dataset(root: Path) -> Dataset:
    """Read a dataset in Ultralytics' layout.

    Args:
        root: Folder with data.yaml, which names the folders of images (`train`, `val`) and the classes.
            Labels are in labels/ beside images/, one text file per image; an image without one shows no
            object.

    Returns:
        The dataset, images not decoded.

    Raises:
        NoInputError: There is no such folder, or no data.yaml in it.
        DataError: A file is malformed, or a class number is out of range.
    """
    path = root / "data.yaml"
    if not path.is_file():
        raise NoInputError(f"{path}: no such file; a dataset has data.yaml, images/ and labels/")
    config = _read_config(path)
    names = _names(config, path)
    digest = DatasetDigest(names)
    splits = [_read_split(root, config, split, names, digest) for split in ("train", "val")]
    return Dataset(root, names, splits[0], splits[1], digest.hexdigest())


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(config, dict):
        raise DataError(f"{path}: expected keys train, val and names, got {type(config).__name__}")
    return config


def _names(config: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    names = config.get("names")
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise DataError(f"{path}: names must list the classes, or map 0, 1, ... to them; got {names!r:.80}")
    return tuple(names)


def _read_split(
    root: Path, config: Mapping[str, Any], split: str, names: tuple[str, ...], digest: DatasetDigest
) -> tuple[LabeledImage, ...]:
    where = config.get(split)
    if where is None:
        return ()
    base = root / str(config.get("path") or "")
    folder = base / where if isinstance(where, str) else None
    if folder is None or not folder.is_dir():
        raise DataError(f"{root / 'data.yaml'}: {split} must name a folder of images, got {where!r}")
    images = []
    for path in sorted(path for path in folder.rglob("*") if is_image(path)):
        label_path = _label_path(path)
        text = label_path.read_bytes() if label_path.is_file() else b""
        class_id, xywh = _parse_labels(text, label_path, names)
        images.append(LabeledImage(path, class_id, xywh))
        digest.add(split, path.relative_to(folder).as_posix(), path.read_bytes(), text)
    return tuple(images)


def _label_path(image: Path) -> Path:
    """Label file of an image by ultralytics' rule: the last folder named images becomes labels."""
    for folder in image.parents:
        if folder.name == "images":
            image = folder.with_name("labels") / image.relative_to(folder)
            break
    return image.with_suffix(".txt")


def _parse_labels(
    text: bytes, path: Path, names: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rows = []
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            class_id, *box = [float(field) for field in line.split()]
        except ValueError:
            box = []
        if len(box) != 4 or not all(0 <= value <= 1 for value in box):
            raise DataError(
                f"{path}:{number}: expected a class number and x y width height in 0 to 1, got {line[:60]!r}"
            )
        if class_id not in range(len(names)):
            raise DataError(
                f"{path}:{number}: class {class_id:g} is out of range; data.yaml names {len(names)} "
                f"(0 to {len(names) - 1})"
            )
        rows.append((class_id, *box))
    table = np.array(rows, np.float64).reshape(-1, 5)
    return table[:, 0].astype(np.int64), table[:, 1:].astype(np.float32)
