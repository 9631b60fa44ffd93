"""COCO json of boxes, polygons and masks, as drawing tools write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from annotated_types import Len
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.models.errors import DataError, NoInputError, describe_damage

__all__ = [
    "CocoAnnotation",
    "CocoCategory",
    "CocoFile",
    "CocoImage",
    "is_crowd",
    "mask_size",
    "object_box",
    "parse_coco",
]

_BOM = b"\xef\xbb\xbf"
_LARGEST_MASK = 1 << 27  # pixels that are looked at for connected parts
_ONE_PART = 0.9  # share of a mask in its largest part, so that specks of a brush do not count


def _as_text(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Id = Annotated[str, BeforeValidator(_as_text)]
"""Number or text; 7, 7.0 and "7" are the same."""


class _Entry(BaseModel):
    """Entry whose null fields count as absent."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_null(cls, value: Any) -> Any:
        return (
            {key: own for key, own in value.items() if own is not None} if isinstance(value, dict) else value
        )


class CocoImage(_Entry):
    """Image; a size of 0 is unknown.

    In files of `edgeloop studio`, `complete` is False if objects may lack a box, and of frames that are gone:
    those are `missing`, and `was_complete` is for when they are there again.
    """

    id: Id
    file_name: Annotated[str, Len(1)]
    width: int = 0
    height: int = 0
    complete: bool = True
    missing: bool = False
    was_complete: bool = True


class CocoAnnotation(_Entry):
    """Object in an image; `bbox` is xywh in pixels, empty if only `segmentation` tells.

    `prompt` is that of a dataset of ours.
    """

    image_id: Id
    category_id: Id
    bbox: list[float] = []
    segmentation: Any = None
    iscrowd: int = 0
    prompt: Any = None


class CocoCategory(_Entry):
    """Class."""

    id: Id
    name: Annotated[str, Len(1, 100), BeforeValidator(_as_text)]


class CocoFile(_Entry):
    """Content of a COCO json; `info` is whatever its writer told."""

    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory]
    info: Any = None


def parse_coco(path: Path) -> CocoFile:
    """Parse a COCO json.

    Raises:
        NoInputError: It cannot be read.
        DataError: It is malformed.
    """
    try:
        return CocoFile.model_validate_json(path.read_bytes().removeprefix(_BOM))
    except OSError as error:
        raise NoInputError(
            f"{path}: cannot be read ({error.strerror}); expected a COCO json of boxes"
        ) from error
    except ValidationError as error:
        raise DataError(
            f"{describe_damage(path, error)}; not a COCO json of boxes, expected one as a tool exports it"
        ) from error


def object_box(bbox: Sequence[float] | None, segmentation: object) -> tuple[float, float, float, float]:
    """Box of an object, xywh in pixels: its `bbox`, or that of its mask if `bbox` has no area.

    Raises:
        ValueError: There is neither, or it is malformed. One line.
    """
    if bbox is not None and len(bbox) == 4:
        x, y, w, h = (float(value) for value in bbox)
        if not np.isfinite((x, y, w, h)).all():
            raise ValueError("bbox: expected finite numbers")
        if (w and h) or segmentation in (None, {}, [], [[]]):
            return x, y, w, h
    elif bbox:
        raise ValueError(f"bbox: expected 4 numbers, got {len(bbox)}")
    if isinstance(segmentation, Mapping):
        starts, ends, height, _ = _runs(segmentation)
        return _runs_box(starts, ends, height)
    points = np.concatenate(_polygons(segmentation) or [np.empty((0, 2))])
    if not len(points):
        raise ValueError("bbox: Field required, or a segmentation")
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right - left, bottom - top


def mask_size(segmentation: object) -> tuple[int, int] | None:
    """(width, height) of the image that a mask of run lengths was drawn on; None if it does not tell."""
    if not isinstance(segmentation, Mapping):
        return None
    try:
        height, width = (int(side) for side in segmentation["size"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return width, height


def is_crowd(iscrowd: object, segmentation: object, place: str, problems: LabelProblems) -> bool:
    """True if a label is a group of objects that are not told apart.

    CVAT writes `iscrowd: 1` for whatever was painted with its brush: one mask in one part is one object.
    """
    if not iscrowd:
        return False
    try:
        one = _is_one_part(segmentation)
    except ValueError:
        one = False
    if one:
        problems.note("crowd_with_one_mask", place)
    return not one


def _is_one_part(segmentation: object) -> bool:
    if not isinstance(segmentation, Mapping):
        return len(_polygons(segmentation)) == 1
    starts, ends, height, width = _runs(segmentation)
    if height * width > _LARGEST_MASK:
        return False
    mask = np.zeros(height * width, np.uint8)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        mask[start:end] = 1
    *_, parts, _ = cv2.connectedComponentsWithStats(mask.reshape(width, height), connectivity=8)
    areas = parts[1:, cv2.CC_STAT_AREA]
    return bool(len(areas)) and bool(areas.max() >= _ONE_PART * areas.sum())


def _polygons(segmentation: object) -> list[NDArray[np.float64]]:
    """Polygons as corners (N, 2) in pixels; a flat list is one polygon."""
    if segmentation is None:
        return []
    if not isinstance(segmentation, list):
        raise ValueError("segmentation: expected polygons or run lengths")
    if segmentation and not isinstance(segmentation[0], list):
        segmentation = [segmentation]
    try:
        polygons = [np.array(polygon, np.float64).reshape(-1, 2) for polygon in segmentation if polygon]
    except (TypeError, ValueError, OverflowError):
        raise ValueError("segmentation: expected lists of x and y") from None
    if not all(np.isfinite(polygon).all() for polygon in polygons):
        raise ValueError("segmentation: expected finite numbers")
    return polygons


def _runs(rle: Mapping[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Beginnings and ends of the runs of a mask, column by column, and its height and width."""
    size, counts = mask_size(rle), rle.get("counts")
    if size is None or min(size) < 1 or size[0] * size[1] >= 1 << 40:
        raise ValueError("segmentation: expected run lengths with size [height, width]")
    try:
        if isinstance(counts, str):
            counts = _decode(counts)
        runs = np.array(counts, np.int64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("segmentation: counts are no run lengths") from None
    width, height = size
    if (runs < 0).any() or (runs > height * width).any() or runs.sum() != height * width:
        raise ValueError(f"segmentation: the run lengths do not add up to {width}x{height}")
    ends = np.cumsum(runs)[1::2]
    starts = ends - runs[1::2]
    filled = ends > starts
    return starts[filled], ends[filled], height, width


def _decode(text: str) -> list[int]:
    """Decode COCO's compressed run lengths: differences in groups of five bits."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("no run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("no run lengths")
    return counts


def _runs_box(
    starts: NDArray[np.int64], ends: NDArray[np.int64], height: int
) -> tuple[float, float, float, float]:
    if not len(starts):
        return 0.0, 0.0, 0.0, 0.0
    first, last = starts // height, (ends - 1) // height
    whole = last > first  # reaches into the next column, so to the bottom of one and the top of another
    top = int(np.where(whole, 0, starts % height).min())
    bottom = int(np.where(whole, height - 1, (ends - 1) % height).max()) + 1
    left, right = int(first.min()), int(last.max()) + 1
    return float(left), float(top), float(right - left), float(bottom - top)
