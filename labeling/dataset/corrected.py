"""Datasets that a person corrected, taken back as that person's boxes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.labels.coco_json import CocoFile, parse_coco
from edgeloop.edge.labels.label_lines import parse_label_lines
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.labeling.dataset.apply_decisions import read_results, read_task, text_path
from edgeloop.labeling.dataset.decisions import HUMAN
from edgeloop.labeling.dataset.read import INSTANCES, is_ours
from edgeloop.labeling.frames.perceptual_hash import bits_apart, perceptual_hash, to_gray
from edgeloop.labeling.inputs.exemplars import ExemplarFrame, find_boxes, read_boxes
from edgeloop.labeling.inputs.find_image import ImageFinder
from edgeloop.labeling.inputs.frames_folder import FramesFolder, local_folder
from edgeloop.labeling.label_text import label_text
from edgeloop.models.errors import DataError
from edgeloop.models.weights.digest import BoxesDigest

__all__ = ["read_corrected"]

log = logging.getLogger(__name__)

_MOVED_PX = 0.5  # a shift below this is rounding
_SAME_OUTLINE = 0.99  # IoU of polygons that differ by rounding only
# A hash has 256 bits. Recompressed or brightened copies differ from their frame in up to 40, mirrored or
# rotated ones in over 100.
_OTHER_PICTURE_BITS = 64


def read_corrected(path: Path, frames_folder: FramesFolder) -> tuple[tuple[str, ...], list[ExemplarFrame]]:
    """Read the frames of a corrected dataset on which a person has the last word.

    Args:
        path: Export of a drawing tool as of `read_exemplars`: all its frames count as checked. Or a folder
            that `edgeloop label` wrote, whose text files were edited: those frames count whose labels differ
            from instances.json, and those that a person drew. Or its edited instances.json, likewise.
        frames_folder: The frames to label.

    Returns:
        Class names, and frames whose `class_id` is an index into them. A frame without boxes has no objects.

    Raises:
        NoInputError: There is no such file or folder.
        DataError: It is malformed, no frame of it is among the frames, or one is given twice or has another
            size.
    """
    problems = LabelProblems()
    names, boxed = read_boxes(path, frames_folder, problems, unlabeled_is_empty=True)
    problems.warn(str(path))
    if path.is_dir() and (boxes := find_boxes(path)) is not None and boxes.suffix == ".json":
        path = boxes
    dataset = path if path.is_dir() else path.parent
    if (path.is_dir() or path.name == INSTANCES) and (dataset / INSTANCES).is_file() and is_ours(dataset):
        boxed = _by_person(path, frames_folder, names, boxed)
    finder = ImageFinder(path, frames_folder)
    folder = local_folder(frames_folder).resolve()
    frames: dict[Path, ExemplarFrame] = {}
    others: list[Path] = []
    changed: list[Path] = []
    for one in boxed:
        file = one.path if one.path.parent == folder else _frame_of(one, finder)
        if file is None:
            others.append(one.path)
        elif file != one.path and not _is_copy(one, file):
            changed.append(one.path)
        elif file in frames:
            raise DataError(f"{path}: {file} is given twice; all boxes of a frame belong to one image")
        else:
            frames[file] = replace(one, path=file)
    if others:
        log.warning(
            "%s: %d images are none of the frames and are left out (first: %s)", path, len(others), others[0]
        )
    if changed:
        log.warning(
            "%s: %d images look unlike the frames of their names, as mirrored or cropped copies do, and are "
            "left out (first: %s)", path, len(changed), changed[0],
        )  # fmt: skip
    if not frames:
        raise DataError(f"{path}: no corrected frame in it is among {frames_folder}; nothing is taken back")
    return names, [*frames.values()]


def _frame_of(one: ExemplarFrame, finder: ImageFinder) -> Path | None:
    """Frame that an image of the dataset is named after; None if there is none."""
    try:
        return finder.find_frame(one.path)
    except DataError:
        return None


def _is_copy(one: ExemplarFrame, file: Path) -> bool:
    """True if an image of the dataset shows its frame, and not a mirrored one, say.

    Raises:
        DataError: The frame has another size.
    """
    frame, own = require_image(file), one.image()
    (height, width), (own_height, own_width) = frame.shape[:2], own.shape[:2]
    if (height, width) != (own_height, own_width):
        raise DataError(
            f"{one.path}: corrected on {own_width}x{own_height}, but the frame {file} is {width}x{height}; "
            "export the images in their own size"
        )
    code, own_code = perceptual_hash(to_gray(frame)), perceptual_hash(to_gray(own))
    return bool(bits_apart(code[None], own_code[None])[0, 0] <= _OTHER_PICTURE_BITS)


def _by_person(
    path: Path, frames_folder: FramesFolder, names: Sequence[str], boxed: list[ExemplarFrame]
) -> list[ExemplarFrame]:
    """Frames of a dataset of ours, or of its instances.json, whose labels are not those that were written.

    What was not edited, instances.json or the text files, tells what was written.

    Raises:
        DataError: Not what is given was edited, but the other, or both were.
    """
    folder = path if path.is_dir() else path.parent
    coco = parse_coco(folder / INSTANCES)
    info = coco.info if isinstance(coco.info, dict) else {}
    has_text = (folder / "data.yaml").is_file() and (folder / "labels").is_dir()
    lenient = LabelProblems(strict=False)
    json_edited = info.get("boxes_digest") not in (None, _boxes_digest(coco))
    text_edited = has_text and info.get("digest") not in (None, open_dataset(folder, lenient).digest)
    if json_edited and text_edited:
        raise DataError(f"{folder}: {INSTANCES} and labels/ were both edited; restore one of them")
    if path.is_dir() and json_edited:
        raise DataError(f"{folder}: {INSTANCES} was edited, labels/ was not; give {folder / INSTANCES}")
    if not path.is_dir() and text_edited:
        raise DataError(f"{path}: labels/ was edited, {INSTANCES} was not; give {folder}")
    if not (path.is_dir() or has_text) and (json_edited or "boxes_digest" not in info):
        return boxed
    files = {image.id: Path(image.file_name).stem for image in coco.images}
    # In review, a person may have decided on some labels of a frame only.
    drawn = {files.get(label.image_id) for label in coco.annotations if label.prompt == HUMAN}
    drawn -= {files.get(label.image_id) for label in coco.annotations if label.prompt != HUMAN}
    drawn |= _outlined_otherwise(folder, names) if has_text else set()
    other = folder / INSTANCES if path.is_dir() or not has_text else folder
    other_names, others = read_boxes(other, frames_folder, lenient, unlabeled_is_empty=True)
    numbers = _numbers(other_names, names)
    written = {one.path.stem: _rows(numbers[one.class_id], one.xyxy) for one in others}
    nothing = np.empty((0, 5))
    return [
        one for one in boxed if one.path.stem in drawn or not _same(one, written.get(one.path.stem, nothing))
    ]


def _numbers(written: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    """Number of each class as it is now; one that is none of them any more was renamed, if its place was."""
    renamed = {
        before: place
        for place, (before, now) in enumerate(zip(written, names, strict=False))
        if before not in names and now not in written
    }
    numbers = [names.index(own) if own in names else renamed.get(own, -1) for own in written]
    return np.array(numbers, np.int64)


def _outlined_otherwise(folder: Path, names: Sequence[str]) -> set[str]:
    """Stems of the images whose polygons are not those of instances.json; none of a dataset of boxes."""
    if read_task(folder) == "detect":
        return set()
    changed = set()
    for frame in read_results(folder).values():
        path = None if frame.image is None else text_path(folder, frame.image)
        if path is not None and path.is_file():
            size = frame.result.width, frame.result.height
            own = _filled(path.read_bytes(), size, names)
            written = _filled(label_text(frame.result, "segment").text.encode(), size, names)
            shared = np.array(rle.iou(own, written, [0] * len(written))).reshape(len(own), len(written))
            if (
                shared.max(axis=0, initial=0).min(initial=1) < _SAME_OUTLINE
                or shared.max(axis=1, initial=0).min(initial=1) < _SAME_OUTLINE
            ):
                changed.add(path.stem)
    return changed


def _filled(text: bytes, size: tuple[int, int], names: Sequence[str]) -> list[dict[str, Any]]:
    """Fill the polygons of a text file, as run lengths."""
    lenient = LabelProblems(strict=False)
    rows = parse_label_lines(text, Path(), names, lenient, named_in="", outlines="some")
    polygons = [(outline * size).ravel().tolist() for outline in rows.outlines or () if len(outline)]
    return [rle.frPyObjects([polygon], size[1], size[0])[0] for polygon in polygons]


def _boxes_digest(coco: CocoFile) -> str:
    digest = BoxesDigest()
    files = {image.id: image.file_name for image in coco.images}
    names = {category.id: category.name for category in coco.categories}
    for label in coco.annotations:
        digest.add(files.get(label.image_id, ""), names.get(label.category_id, ""), label.bbox)
    return digest.hexdigest()


def _rows(class_id: NDArray[np.int64], xyxy: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.concatenate((class_id[:, None], xyxy), axis=1, dtype=np.float64)


def _same(one: ExemplarFrame, written: NDArray[np.float64]) -> bool:
    """True if boxes are those of rows (number, x1, y1, x2, y2), in any order and each any number of times."""
    own = _rows(one.class_id, one.xyxy)
    near: NDArray[np.bool_] = np.abs(own[:, None] - written[None]).max(axis=2) <= _MOVED_PX
    return bool(near.any(axis=0).all() and near.any(axis=1).all())
