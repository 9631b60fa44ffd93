"""Training examples of the heads: augmented views of the exemplar frames with their targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeloop.labeling.candidates.exemplar_masks import ExemplarMasks
from edgeloop.labeling.features.backbone import extract_features, preprocess, working_size
from edgeloop.labeling.prompts.center_head import STRIDE, Maps, stacked
from edgeloop.labeling.prompts.copy_paste import paste_objects
from edgeloop.models.boxes import clip_boxes

__all__ = [
    "CENTER",
    "Lesson",
    "Target",
    "View",
    "any_way_lessons",
    "take_lessons",
    "turned",
    "view_of",
    "window",
]

CENTER = 0.999
"""Heat from which on a cell is the center of an object."""

_VIEWS = 8  # of each frame, the first of them as it is
_WINDOW_CELLS = (
    64  # a step looks at a part of a large frame, so that it costs no more than one of a small frame
)
_ALIGNED_CELLS = 4  # so that a window ends on whole cells of stride 32 too
_MAX_ZOOM = 2.0
_LEAST_VISIBLE = 0.25  # of an object at the border of a view


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """An augmented image with boxes.

    Attributes:
        image: HxWx3 uint8 BGR.
        xyxy: float32 (N, 4), pixels of `image`.
        class_id: int64 (N,).
    """

    image: NDArray[np.uint8]
    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]


class Target(NamedTuple):
    """Targets of a view of h x w cells.

    Attributes:
        heat: (classes, h, w), 1 at the cell of an object's center, falling off around it.
        sides: (4, h, w), distances to the sides of the box, working pixels.
        weight: (h, w), how much a cell's box counts; the cells of each object sum to 1.
    """

    heat: Tensor
    sides: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A view of an exemplar frame.

    Attributes:
        frame: Number of the frame.
        maps: Its features.
        target: Their targets.
        untouched: True if the frame is not augmented.
    """

    frame: int
    maps: Maps
    target: Target
    untouched: bool


def take_lessons(views: Sequence[View], classes: int, scale: float, rng: np.random.Generator) -> list[Lesson]:
    """Make views of each frame: as it is, and mirrored, zoomed and with other brightness.

    Args:
        views: The frames, each with all objects of interest boxed.
        classes: Number of classes.
        scale: Working pixels for a pixel of the frames.
        rng: Of the variations.

    Returns:
        `_VIEWS` lessons of each frame.
    """
    lessons = []
    for number, view in enumerate(views):
        lessons.append(_lesson(number, view, classes, scale, untouched=True))
        lessons += [_lesson(number, _seen_otherwise(view, rng), classes, scale) for _ in range(_VIEWS - 1)]
    return lessons


def any_way_lessons(
    frames: Sequence[ExemplarMasks], classes: int, scale: float, rng: np.random.Generator, *, times: int = 1
) -> list[Lesson]:
    """Make views of each frame with rotated copy-paste augmentation, for overhead cameras.

    Args:
        frames: With all objects of interest boxed.
        classes: See `take_lessons`.
        scale: The same.
        rng: The same.
        times: How often as many lessons as `take_lessons` gives.

    Returns:
        Lessons, each of what a step looks at and no more.
    """
    lessons = []
    for frame in frames:
        for _ in range(times * _VIEWS):
            view = _seen_otherwise(turned(view_of(paste_objects(frame, rng)), rng), rng)
            maps, target = window(_lesson(frame.number, view, classes, scale), rng)
            lessons.append(Lesson(frame.number, _halved(maps), target, untouched=False))
    return lessons


def view_of(frame: ExemplarMasks) -> View:
    """A frame with what is to be labeled; all else is background."""
    named = frame.class_id >= 0
    return View(frame.image, frame.xyxy[named], frame.class_id[named])


def window(lesson: Lesson, rng: np.random.Generator) -> tuple[Maps, Target]:
    """Crop a random window, most of the time around an object.

    Args:
        lesson: Any.
        rng: Of the place.

    Returns:
        Its features and target, at most `_WINDOW_CELLS` cells a side.
    """
    centers = torch.nonzero(lesson.target.heat.amax(dim=0) >= CENTER)
    around = centers[rng.integers(len(centers))].tolist() if len(centers) and rng.random() < 0.75 else None
    parts: list[slice] = []
    for axis, cells in enumerate(lesson.target.weight.shape):
        spare = max(cells - _WINDOW_CELLS, 0)
        if around is None:
            start = int(rng.integers(spare + 1))
        else:
            start = int(np.clip(around[axis] - rng.integers(_WINDOW_CELLS), 0, spare))
        start -= start % _ALIGNED_CELLS
        parts.append(slice(start, min(start + _WINDOW_CELLS, cells)))
    y, x = parts
    maps = [
        features[..., y.start // shrink : y.stop // shrink, x.start // shrink : x.stop // shrink].float()
        for features, shrink in zip(lesson.maps, (1, 2, 4), strict=True)
    ]
    return (maps[0], maps[1], maps[2]), Target(*(field[..., y, x] for field in lesson.target))


def turned(view: View, rng: np.random.Generator) -> View:
    """Flip a view vertically or not, and transpose it or not; with mirroring, all eight orientations.

    Args:
        view: Any.
        rng: Of the way.

    Returns:
        The turned view; its image is as wide as the other was high where it lies on its side.
    """
    image, xyxy = view.image, view.xyxy
    if rng.random() < 0.5:
        image, xyxy = image.transpose(1, 0, 2), xyxy[:, [1, 0, 3, 2]]
    if rng.random() < 0.5:
        height = image.shape[0]
        image = image[::-1]
        xyxy = np.stack((xyxy[:, 0], height - xyxy[:, 3], xyxy[:, 2], height - xyxy[:, 1]), axis=1)
    return View(np.ascontiguousarray(image), xyxy, view.class_id)


def _seen_otherwise(view: View, rng: np.random.Generator) -> View:
    """Mirror, zoom and change the brightness at random."""
    height, width = view.image.shape[:2]
    zoom = float(_MAX_ZOOM ** rng.uniform(-1, 1))
    shift = rng.uniform(0, 1, 2) * np.array([width, height]) * (1 - zoom)
    matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    image, xyxy = view.image, view.xyxy.copy()
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        xyxy[:, [0, 2]] = width - xyxy[:, [2, 0]]
    image = np.asarray(cv2.warpAffine(image, matrix, (width, height), borderValue=(114, 114, 114)), np.uint8)
    light = image.astype(np.float32) * rng.uniform(0.75, 1.25) + rng.uniform(-20, 20)
    moved = (xyxy * zoom + np.tile(shift, 2)).astype(np.float32)
    visible = clip_boxes(moved, width, height)
    kept = _area(visible) > _LEAST_VISIBLE * _area(moved)
    return View(np.clip(light, 0, 255).astype(np.uint8), visible[kept], view.class_id[kept])


def _area(xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]), np.float32)


def _lesson(frame: int, view: View, classes: int, scale: float, *, untouched: bool = False) -> Lesson:
    height, width = view.image.shape[:2]
    size = working_size(view.image, scale)
    to_working = np.array([size[0] / width, size[1] / height] * 2, np.float32)
    maps = _halved(stacked(extract_features(preprocess(view.image, size))))
    cells = (size[1] // STRIDE, size[0] // STRIDE)
    target = _target(torch.from_numpy(view.xyxy * to_working), view.class_id, classes, cells)
    return Lesson(frame, maps, target, untouched)


def _halved(maps: Maps) -> Maps:
    """In half precision: some hundred megabytes otherwise."""
    return maps[0].half(), maps[1].half(), maps[2].half()


def _target(xyxy: Tensor, class_id: NDArray[np.int64], classes: int, cells: tuple[int, int]) -> Target:
    target = Target(torch.zeros(classes, *cells), torch.zeros(4, *cells), torch.zeros(cells))
    y, x = ((torch.arange(count) + 0.5) * STRIDE for count in cells)
    area = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    for row in torch.argsort(area, descending=True, stable=True).tolist():  # small ones lie on large ones
        x1, y1, x2, y2 = xyxy[row].tolist()
        across, down = _bell(x, x1, x2), _bell(y, y1, y2)
        heat = down[:, None] * across[None, :]
        heat[int(down.argmax()), int(across.argmax())] = 1.0
        of_class = target.heat[class_id[row]]
        torch.maximum(of_class, heat, out=of_class)
        near = heat > 0.3
        to_sides = torch.stack(
            torch.broadcast_tensors(
                (x - x1)[None, :], (y - y1)[:, None], (x2 - x)[None, :], (y2 - y)[:, None]
            )
        )
        target.sides[:, near] = to_sides[:, near]
        target.weight[near] = (heat / heat[near].sum())[near]
    return target


def _bell(cells: Tensor, low: float, high: float) -> Tensor:
    """A Gaussian on the center of an interval, as wide as a sixth of it and never narrower than cells."""
    sigma = (high - low) / 6 + STRIDE / 4
    return torch.exp(-((cells - (low + high) / 2) ** 2) / (2 * sigma**2))
