"""Teaching the heads: a few frames, seen from several sides, for some seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labeling.features import extract, prepared, working_size
from labeling.prompts.head import STRIDE, CentreHead, HeadOutput, Maps, stacked
from models.boxes import clip_boxes

__all__ = ["HEADS", "TRAINING_STEPS", "View", "train_heads"]

TRAINING_STEPS = 1200
"""Steps that `train_heads` takes, all heads together."""

HEADS = 3

_VIEWS = 8  # of each frame, the first of them as it is
_WINDOW_CELLS = (
    64  # a step looks at a part of a large frame, so that it costs no more than one of a small frame
)
_ALIGNED_CELLS = 4  # so that a window ends on whole cells of stride 32 too
_PEAK_RATE = 4e-3
_MAX_ZOOM = 1.4
_LEAST_VISIBLE = 0.4  # of an object at the border of a view
_BOX_WEIGHT = 2.0
_CENTRE = 0.999  # heat from which on a cell is the centre of an object


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """An image with boxes, as the head is to see it.

    Attributes:
        image: HxWx3 uint8 BGR.
        xyxy: float32 (N, 4), pixels of `image`.
        class_id: int64 (N,).
    """

    image: NDArray[np.uint8]
    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]


class _Target(NamedTuple):
    """What the head should say about a view of h x w cells.

    Attributes:
        heat: (classes, h, w), 1 at the cell of an object's centre, falling off around it.
        sides: (4, h, w), distances to the sides of the box, working pixels.
        weight: (h, w), how much a cell's box counts; the cells of each object sum to 1.
    """

    heat: Tensor
    sides: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Lesson:
    """A view of exemplar frame number `frame`, as features and as what to say about them."""

    frame: int
    maps: Maps
    target: _Target


def train_heads(
    views: Sequence[View],
    classes: int,
    scale: float,
    *,
    seed: int = 0,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[CentreHead]:
    """Teach several heads from a few frames, each from other ones.

    Together they are surer than one; and each can be asked about the frames that it has not seen.

    Args:
        views: The frames, each with all objects of interest boxed.
        classes: Number of classes.
        scale: Working pixels for a pixel of the frames.
        seed: Of views, order and initial weights.
        advance: Called with 1 after each of `TRAINING_STEPS` steps.

    Returns:
        `HEADS` heads, ready to use. Where there is more than one frame, head k has not seen those frames
        whose number leaves the remainder k when divided by the number of heads.
    """
    rng = np.random.default_rng(seed)
    lessons = [
        _lesson(number, seen, classes, scale)
        for number, view in enumerate(views)
        for seen in [view, *(_seen_otherwise(view, rng) for _ in range(_VIEWS - 1))]
    ]
    statistics = _statistics([lesson.maps for lesson in lessons[::_VIEWS]])
    heads = []
    with _one_thread():
        for number in range(HEADS):
            own = [lesson for lesson in lessons if lesson.frame % HEADS != number]
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed + number)
                head = CentreHead(classes, statistics)
            heads.append(_train(head, own or lessons, rng, advance))
    return heads


@contextmanager
def _one_thread() -> Iterator[None]:
    """So small a network gains nothing from threads; on a busy machine they wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train(
    head: CentreHead, lessons: Sequence[_Lesson], rng: np.random.Generator, advance: Callable[[int], None]
) -> CentreHead:
    steps = TRAINING_STEPS // HEADS
    optimizer = torch.optim.AdamW(head.parameters(), lr=_PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_RATE, total_steps=steps)
    for _ in range(steps):
        maps, target = _window(lessons[int(rng.integers(len(lessons)))], rng)
        loss = _loss(head(maps), target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        advance(1)
    return head.eval().requires_grad_(False)


def _window(lesson: _Lesson, rng: np.random.Generator) -> tuple[Maps, _Target]:
    """A part of a lesson, most of the time around an object."""
    centres = torch.nonzero(lesson.target.heat.amax(dim=0) >= _CENTRE)
    around = centres[rng.integers(len(centres))].tolist() if len(centres) and rng.random() < 0.75 else None
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
    return (maps[0], maps[1], maps[2]), _Target(*(field[..., y, x] for field in lesson.target))


def _seen_otherwise(view: View, rng: np.random.Generator) -> View:
    """The same frame mirrored, nearer or farther, in another light."""
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


def _lesson(frame: int, view: View, classes: int, scale: float) -> _Lesson:
    height, width = view.image.shape[:2]
    size = working_size(view.image, scale)
    to_working = np.array([size[0] / width, size[1] / height] * 2, np.float32)
    maps = stacked(extract(prepared(view.image, size)))
    half = (maps[0].half(), maps[1].half(), maps[2].half())  # some hundred megabytes otherwise
    cells = (size[1] // STRIDE, size[0] // STRIDE)
    target = _target(torch.from_numpy(view.xyxy * to_working), view.class_id, classes, cells)
    return _Lesson(frame, half, target)


def _target(xyxy: Tensor, class_id: NDArray[np.int64], classes: int, cells: tuple[int, int]) -> _Target:
    target = _Target(torch.zeros(classes, *cells), torch.zeros(4, *cells), torch.zeros(cells))
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
    """A Gaussian on the centre of an interval, as wide as a sixth of it and never narrower than cells."""
    sigma = (high - low) / 6 + STRIDE / 4
    return torch.exp(-((cells - (low + high) / 2) ** 2) / (2 * sigma**2))


def _statistics(frames: Sequence[Maps]) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance of each channel of each map over the frames."""
    statistics = []
    for level in range(3):
        values = torch.cat([maps[level].float().flatten(2)[0] for maps in frames], dim=1)
        statistics.append((values.mean(dim=1), (values.std(dim=1) + 1e-3).square()))
    return statistics


def _loss(output: HeadOutput, target: _Target) -> Tensor:
    """CenterNet's focal loss for the centres and GIoU for the boxes."""
    probability = torch.sigmoid(output.logits).clamp(1e-4, 1 - 1e-4)
    centre = target.heat >= _CENTRE
    hit = ((1 - probability) ** 2 * torch.log(probability))[centre].sum()
    miss = ((1 - target.heat) ** 4 * probability**2 * torch.log(1 - probability))[~centre].sum()
    loss = -(hit + miss) / max(int(centre.sum()), 1)
    counted = target.weight > 0
    if not counted.any():
        return loss
    giou = _giou(output.distances[:, counted], target.sides[:, counted])
    weight = target.weight[counted]
    return loss + _BOX_WEIGHT * ((1 - giou) * weight).sum() / weight.sum()


def _giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of boxes around the same points, both (4, N) distances to left, top, right and bottom.

    A point may lie outside its target box, whose distance to that side is then negative.
    """
    shared, hull = torch.minimum(a, b), torch.maximum(a, b)
    intersection = (shared[0] + shared[2]).clamp(min=0) * (shared[1] + shared[3]).clamp(min=0)
    union = (a[0] + a[2]) * (a[1] + a[3]) + (b[0] + b[2]) * (b[1] + b[3]) - intersection
    around = (hull[0] + hull[2]) * (hull[1] + hull[3])
    return intersection / union - (around - union) / around
