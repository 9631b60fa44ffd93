"""Exemplars in YOLO text files, as labelImg, CVAT, Label Studio and Roboflow write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from pathlib import Path

import numpy as np

from edgeloop.edge.labels.label_lines import parse_label_lines, read_text
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.export.data.data_yaml import find_data_yaml, is_litter, read_data_yaml
from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.labeling.inputs.find_image import ImageFinder
from edgeloop.labeling.inputs.frames_folder import FramesFolder
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["find_names", "is_yaml", "read_yolo_images"]

_NAMES = ("classes.txt", "obj.names", "labels/classes.txt")
_NAMES_FILE = re.compile(r"(predefined_)?classes\.txt", re.I)
_LIST_OR_NOTE = re.compile(r"(notes|train|val|valid|validation|test|readme.*)\.txt", re.I)


def find_names(folder: Path) -> Path | None:
    """Find the class names of YOLO text files: data.yaml, `classes.txt` or `obj.names`, or the only yaml."""
    for name in ("data.yaml", *_NAMES):
        if (folder / name).is_file():
            return folder / name
    try:
        return find_data_yaml(folder)
    except NoInputError:
        return None


def read_yolo_images(
    folder: Path, frames_folder: FramesFolder, problems: LabelProblems, *, unlabeled_is_empty: bool = False
) -> tuple[tuple[str, ...], list[LabeledImage]]:
    """Read text files of boxes or polygons, with the names of the classes.

    Args:
        folder: Holds the names (`data.yaml`, `classes.txt` or `obj.names`) and a text file for each image,
            named like it: in folders named labels, in obj_train_data, or directly. An empty file is an image
            without objects. Images are beside the text files, in images/, or in `frames_folder`.
        frames_folder: The frames to label.
        problems: Counts what is read nevertheless.
        unlabeled_is_empty: Take images of a data.yaml that have no text file for images without objects.

    Raises:
        NoInputError: There are no names, or no text files.
        DataError: A line is malformed, or an image is missing.
    """
    names, named_in, keypoints = _read_names(folder)
    finder = ImageFinder(folder, frames_folder)
    files = sorted(_label_files(folder, finder))
    if not files:
        raise NoInputError(f"{folder}: holds no text file of boxes; expected one a frame, named like it")
    images = []
    for file in files:
        try:
            data = file.read_bytes()
            path = _image_of(file, folder, finder)
        except OSError as error:
            problems.refuse("lost_labels", f"{file}: cannot be read ({error.strerror}); restore or remove it")
        except DataError as error:
            problems.refuse("missing_image", str(error))
        else:
            rows = parse_label_lines(
                data, file, names, problems, named_in=named_in, keypoints=keypoints, outlines="some"
            )
            images.append(LabeledImage(path, *rows))
    if unlabeled_is_empty and (config := find_names(folder)) is not None and is_yaml(config):
        images += _unlabeled(config, {image.path for image in images}, finder)
    return names, images


def _unlabeled(data_yaml: Path, labeled: Set[Path], finder: ImageFinder) -> Iterator[LabeledImage]:
    """Images of a data.yaml that have no text file."""
    config = read_data_yaml(data_yaml)
    lenient = LabelProblems(strict=False)  # an export without images names folders that are not there
    for split in config.splits:
        for path, _ in config.images(split, lenient):
            if path.is_file() and (image := finder.prefer_frame(path)) not in labeled:
                yield LabeledImage(image, np.empty(0, np.int64), np.empty((0, 4), np.float32))


def _read_names(folder: Path) -> tuple[tuple[str, ...], str, bool]:
    """Class names, their file, and True if labels have keypoints."""
    file = find_names(folder)
    if file is None:
        raise NoInputError(
            f"{folder}: has no {_NAMES[0]}; expected YOLO text files and {_NAMES[0]} with a class name a line"
        )
    if is_yaml(file):
        config = read_data_yaml(file)
        return config.names, file.name, config.keypoints
    try:
        names = tuple(line.strip() for line in read_text(file).rstrip().splitlines())
    except OSError as error:
        raise NoInputError(f"{file}: cannot be read ({error.strerror})") from error
    if twice := next((own for own in names if own and names.count(own) > 1), None):
        raise DataError(f"{file}: {twice[:60]!r} is given twice; every class needs a name of its own")
    return names, file.relative_to(folder).as_posix(), False


def is_yaml(file: Path) -> bool:
    """True if a file is named like YAML."""
    return file.suffix.lower() in (".yaml", ".yml")


def _label_files(folder: Path, finder: ImageFinder) -> Iterator[Path]:
    below = [path for path in (*folder.rglob("labels"), *folder.glob("obj_*_data")) if path.is_dir()]
    found = (path for place in below for path in place.rglob("*.txt")) if below else folder.glob("*.txt")
    for path in found:
        if is_litter(path.relative_to(folder)) or _NAMES_FILE.fullmatch(path.name):
            continue
        if not below and _LIST_OR_NOTE.fullmatch(path.name):  # unless it is named like an image
            beside = _images_beside(path, folder, finder)
            if not beside and not finder.frames(path.stem):
                continue
        yield path


def _image_of(file: Path, folder: Path, finder: ImageFinder) -> Path:
    """Image beside a label file, in images/ instead of labels/, or among the frames."""
    found = _images_beside(file, folder, finder)
    return finder.prefer_frame(finder.only(file.stem, found)) if found else finder.find_frame(file)


def _images_beside(file: Path, folder: Path, finder: ImageFinder) -> list[Path]:
    places = [file.parent, folder, folder / "images"]
    for parent in file.parents:
        if parent.name == "labels":
            places.insert(1, parent.with_name("images") / file.parent.relative_to(parent))
            break
    return next((found for place in places if (found := finder.images(place, file.stem))), [])
