"""Lines of YOLO label files, read by one set of rules for exemplars, training and scoring."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.models.errors import DataError

__all__ = ["Box", "LabelRows", "Outlines", "decode_text", "fit_box", "parse_label_lines", "read_text"]

_TOLERANCE = 0.01  # share of the image by which coordinates may leave it through rounding
_SHOWN = 60

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

Outlines = Literal["none", "some", "all"]
"""Polygons to keep of labels: none, those that are there, or one of every label."""


class LabelRows(NamedTuple):
    """Labels of one image; lengths are shares of the image's width and height.

    Attributes:
        class_id: Class numbers, int64 (N,).
        cxcywh: Boxes, float32 (N, 4) center x, center y, width, height.
        outlines: A polygon for each row, float32 (P, 2) x, y, within the image, P is 0 for a box; None if
            they were not asked for, or if a row is a box and all were asked for.
    """

    class_id: NDArray[np.int64]
    cxcywh: NDArray[np.float32]
    outlines: tuple[NDArray[np.float32], ...] | None


def decode_text(data: bytes, path: Path | str) -> str:
    """Decode a text file: UTF-8, with or without byte order mark.

    Raises:
        DataError: It is in another encoding.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise DataError(f"{path}: not UTF-8 text; save it in the encoding UTF-8")
    return text


def read_text(path: Path) -> str:
    """Read a text file as `decode_text` does; OSError if it cannot be read."""
    return decode_text(path.read_bytes(), path)


def fit_box(xyxy: Box, size: tuple[float, float], place: str, problems: LabelProblems) -> Box | None:
    """Cut a box off at the edges of its image.

    Args:
        xyxy: Corners, in any unit.
        size: (width, height) of the image in that unit.
        place: Place of the label, for problems.
        problems: Counts boxes that reach beyond the image by more than 1 %, and those without area.

    Returns:
        The box, or None if it has no area.

    Raises:
        ValueError: The center is outside the image, or the box is larger than it, by more than 1 %.
    """
    x1, y1, x2, y2 = xyxy
    inside: list[float] = []
    for low, high, side in ((x1, x2, size[0]), (y1, y2, size[1])):
        slack = _TOLERANCE * side
        if not (-slack <= (low + high) / 2 <= side + slack and 0 <= high - low <= side + slack):
            raise ValueError("outside the image")
        inside += min(max(low, 0.0), side), min(max(high, 0.0), side)
    left, right, top, bottom = inside
    if right <= left or bottom <= top:
        problems.note("empty_box", place)
        return None
    cut = (left - x1) / size[0], (top - y1) / size[1], (x2 - right) / size[0], (y2 - bottom) / size[1]
    if max(cut) > _TOLERANCE:
        problems.note("clipped", place)
    return left, top, right, bottom


def parse_label_lines(
    data: bytes,
    path: Path,
    names: Sequence[str],
    problems: LabelProblems,
    *,
    named_in: str,
    keypoints: bool = False,
    outlines: Outlines = "none",
) -> LabelRows:
    """Parse the lines of a label file.

    A line is `class x y width height`, center and size as shares of the image; or `class x1 y1 x2 y2 x3 y3`
    and so on, a polygon, whose box is its extent. A score may follow.

    Args:
        data: Content of the file.
        path: The file, for messages.
        names: Class names by class number; "" if a number has no name.
        problems: Counts what is read nevertheless.
        named_in: File of the names, for messages.
        keypoints: True if keypoints, not polygons, follow the box.
        outlines: Polygons to keep. With "all", a line that is a box is refused.

    Raises:
        DataError: A line is malformed, its class has no name, or it is a box although all outlines are asked
            for; only if `problems` is strict.
    """
    try:
        lines = decode_text(data, path).splitlines()
    except DataError as error:
        problems.refuse("encoding", str(error))
        lines = []
    rows: list[tuple[float, ...]] = []
    shapes: list[list[float]] = []
    told: dict[tuple[float, ...], int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            class_id, *values = [float(field) for field in line.split()]
            values = _shape(values, place, problems, keypoints=keypoints)
            box = fit_box(_box(values), (1, 1), place, problems)
        except ValueError:
            problems.refuse(
                "malformed_line",
                f"{place}: expected a class number and x y width height in 0 to 1, or a polygon, "
                f"got {_shown(line)}",
            )
            continue
        if class_id not in range(len(names)) or not names[int(class_id)]:
            problems.refuse(
                "unknown_class",
                f"{place}: class {class_id:g} is out of range; {named_in} names {len(names)} "
                f"(0 to {len(names) - 1})",
            )
        elif box is not None:
            # Two polygons may have the same extent, such as all of the image.
            key = (class_id, *box, *(values if outlines != "none" and len(values) > 4 else ()))
            row = told.setdefault(key[:5], len(rows))
            if row < len(rows) and (key in told or len(shapes[row]) == 4):
                problems.note("duplicate", place)
                if key not in told:  # a polygon tells more than the box of the same extent
                    shapes[row], told[key] = values, row
                continue
            told[key] = row
            rows.append(key[:5])
            shapes.append(values)
            _note_other_shape(len(values) > 4, outlines, place, problems)
    table = np.array(rows, np.float64).reshape(-1, 5)
    corner, opposite = table[:, 1:3], table[:, 3:]
    cxcywh = np.concatenate(((corner + opposite) / 2, opposite - corner), axis=1)
    return LabelRows(
        table[:, 0].astype(np.int64),
        cxcywh.astype(np.float32),
        None if outlines == "none" else _polygons(shapes, outlines),
    )


def _note_other_shape(is_polygon: bool, outlines: Outlines, place: str, problems: LabelProblems) -> None:
    if is_polygon and outlines == "none":
        problems.note("polygon", place)
    if outlines == "all" and not is_polygon:
        problems.refuse(
            "box_line",
            f"{place}: labels are boxes, expected polygons (class x1 y1 x2 y2 x3 y3 ...); label with --task "
            "segment, or train with --task detect",
        )


def _polygons(shapes: Iterable[list[float]], outlines: Outlines) -> tuple[NDArray[np.float32], ...] | None:
    polygons = [
        np.array(values if len(values) > 4 else (), np.float32).reshape(-1, 2).clip(0, 1) for values in shapes
    ]
    return None if outlines == "all" and not all(map(len, polygons)) else tuple(polygons)


def _shape(values: list[float], place: str, problems: LabelProblems, *, keypoints: bool) -> list[float]:
    """Box or polygon in the numbers after the class; ValueError if they are neither."""
    if keypoints and len(values) > 4:
        values = values[:4]
    scored = len(values) % 2 == 1 and len(values) >= 5
    values = values[:-1] if scored else values
    if len(values) not in (4, *range(6, len(values) + 1, 2)):
        raise ValueError("neither a box nor a polygon")
    if not all(-_TOLERANCE <= value <= 1 + _TOLERANCE for value in values):
        raise ValueError("outside the image")
    if scored:
        problems.note("score_column", place)
    return values


def _box(values: list[float]) -> Box:
    """Corners of a box or of a polygon's extent."""
    if len(values) == 4:
        x, y, w, h = values
        return x - w / 2, y - h / 2, x + w / 2, y + h / 2
    xs, ys = values[0::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _shown(line: str) -> str:
    return repr(re.sub(r"\s+", " ", line.strip())[:_SHOWN])
