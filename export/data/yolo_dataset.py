"""Labeled datasets on disk, read and checked strictly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.labels.label_lines import Outlines, parse_label_lines
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.export.data.data_yaml import DataYaml, find_data_yaml, read_data_yaml
from edgeloop.models.errors import DataError
from edgeloop.models.task import Task
from edgeloop.models.weights.digest import DatasetDigest

__all__ = ["Dataset", "LabeledImage", "open_dataset"]


@dataclass(frozen=True, eq=False)
class LabeledImage:
    """One image and its labels.

    Attributes:
        path: Image file.
        class_id: int64 (N,).
        xywh: float32 (N, 4), center x, center y, width, height as fractions of the image's width and height.
        outlines: A polygon for each box, float32 (P, 2) x, y as fractions of the image's width and height,
            0 to 1 for the first to the last pixel's far edge, in exemplars P is 0 for a box; None for labels
            that are boxes.
    """

    path: Path
    class_id: NDArray[np.int64]
    xywh: NDArray[np.float32]
    outlines: tuple[NDArray[np.float32], ...] | None = None

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


def open_dataset(root: Path, problems: LabelProblems | None = None, *, task: Task = "detect") -> Dataset:
    """Read a dataset in Ultralytics' layout.

    Args:
        root: Folder with data.yaml, or that file. It names the images (`train`, `val`) and the classes.
            Labels are in labels/ beside images/, or beside the images, one text file per image; an image
            without one shows no object.
        problems: Counts what is read nevertheless; None to warn of it.
        task: "segment" keeps the outlines of labels that are polygons, and refuses a label that is a box;
            "detect" takes the boxes of both.

    Returns:
        The dataset, images not decoded.

    Raises:
        NoInputError: There is no such folder, or no data.yaml in it.
        DataError: A file is malformed, a class number is out of range, or a label is a box and `task` is
            "segment".
    """
    config = read_data_yaml(find_data_yaml(root))
    found = LabelProblems() if problems is None else problems
    digest = DatasetDigest(config.names)
    outlines: Outlines = "all" if task == "segment" else "none"
    splits = [_read_split(config, split, digest, found, outlines=outlines) for split in ("train", "val")]
    if problems is None:
        found.warn(str(config.path))
    return Dataset(config.path.parent, config.names, splits[0], splits[1], digest.hexdigest())


def _read_split(
    config: DataYaml, split: str, digest: DatasetDigest, problems: LabelProblems, *, outlines: Outlines
) -> tuple[LabeledImage, ...]:
    images: dict[Path, LabeledImage] = {}
    for path, name in config.images(split, problems):
        if path in images:
            problems.note("image_twice", str(path))
            continue
        if not path.is_file():
            problems.note("dangling_link", str(path))
            continue
        label_path = _label_path(path)
        if label_path.is_symlink() and not label_path.exists():
            problems.refuse(
                "lost_labels", f"{label_path}: a link to nothing; restore its labels or remove it"
            )
        try:
            text = label_path.read_bytes() if label_path.is_file() else b""
            image = path.read_bytes()
        except OSError as error:
            problems.refuse("unreadable_file", f"{error.filename}: cannot be read ({error.strerror})")
            continue
        rows = parse_label_lines(
            text,
            label_path,
            config.names,
            problems,
            named_in=config.path.name,
            keypoints=config.keypoints,
            outlines=outlines,
        )
        images[path] = LabeledImage(path, *rows)
        digest.add(split, name, image, text)
    return tuple(images.values())


def _label_path(image: Path) -> Path:
    """Label file of an image by ultralytics' rule: the last folder named images becomes labels."""
    beside = image.with_suffix(".txt")
    for folder in image.parents:
        if folder.name == "images":
            path = folder.with_name("labels") / beside.relative_to(folder)
            return path if path.is_file() or path.is_symlink() or not beside.is_file() else beside
    return beside
