"""Training of the heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from edgeloop.edge.host.hardware import usable_cores
from edgeloop.labeling.prompts.center_head import CenterHead, HeadOutput, Maps
from edgeloop.labeling.prompts.training_views import CENTER, Lesson, Target, window

__all__ = ["HEADS", "train_heads", "unseeing", "unseen_loss"]

HEADS = 3

_PEAK_RATE = 4e-3
_BOX_WEIGHT = 2.0


def train_heads(
    lessons: Sequence[Lesson],
    classes: int,
    steps: int,
    *,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> list[CenterHead]:
    """Train several heads, each on a different part of the frames.

    Together they are surer than one; and each can be asked about the frames that it has not seen.

    Args:
        lessons: Views of the frames, each untouched one among them.
        classes: Number of classes.
        steps: To take, all heads together.
        seed: Random seed.
        advance: Called with 1 after each step, `HEADS * (steps // HEADS)` times.

    Returns:
        `HEADS` heads, ready to use. Where there is more than one frame, head k has not seen those frames
        whose number leaves the remainder k when divided by the number of heads.
    """
    statistics = _statistics([lesson.maps for lesson in lessons if lesson.untouched])
    counting = Lock()

    def stepped() -> None:
        with counting:
            advance(1)

    def trained(number: int) -> CenterHead:
        own = [lesson for lesson in lessons if lesson.frame % HEADS != number]
        rng = np.random.default_rng((seed, number))
        return _train(heads[number], own or lessons, steps // HEADS, rng, stepped)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        heads = [CenterHead(classes, statistics) for _ in range(HEADS)]
    with _one_thread(), ThreadPoolExecutor(min(HEADS, usable_cores())) as pool:
        return list(pool.map(trained, range(HEADS)))


def unseeing(heads: Sequence[CenterHead], frame: int) -> CenterHead:
    """Choose the head that was not trained on a frame."""
    return heads[frame % len(heads)]


@torch.inference_mode()
def unseen_loss(heads: Sequence[CenterHead], lessons: Sequence[Lesson]) -> float:
    """Compute the loss on held-out frames, which is smoother than an average precision.

    Args:
        heads: Of `train_heads`.
        lessons: Of the frames that they learned from, each put to the head that was not shown that frame.

    Returns:
        The mean loss.
    """
    losses = []
    for lesson in lessons:
        s8, s16, s32 = (level.float() for level in lesson.maps)
        losses.append(float(_loss(unseeing(heads, lesson.frame)((s8, s16, s32)), lesson.target)))
    return sum(losses) / len(losses)


@contextmanager
def _one_thread() -> Iterator[None]:
    """So small a network gains nothing from threads of its own; each head has one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train(
    head: CenterHead,
    lessons: Sequence[Lesson],
    steps: int,
    rng: np.random.Generator,
    stepped: Callable[[], None],
) -> CenterHead:
    optimizer = torch.optim.AdamW(head.parameters(), lr=_PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_RATE, total_steps=steps)
    for _ in range(steps):
        maps, target = window(lessons[int(rng.integers(len(lessons)))], rng)
        loss = _loss(head(maps), target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        stepped()
    return head.eval().requires_grad_(False)


def _statistics(frames: Sequence[Maps]) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance of each channel of each map over the frames."""
    statistics = []
    for level in range(3):
        values = torch.cat([maps[level].float().flatten(2)[0] for maps in frames], dim=1)
        statistics.append((values.mean(dim=1), (values.std(dim=1) + 1e-3).square()))
    return statistics


def _loss(output: HeadOutput, target: Target) -> Tensor:
    """CenterNet's focal loss for the centers and GIoU for the boxes."""
    probability = torch.sigmoid(output.logits).clamp(1e-4, 1 - 1e-4)
    center = target.heat >= CENTER
    hit = ((1 - probability) ** 2 * torch.log(probability))[center].sum()
    miss = ((1 - target.heat) ** 4 * probability**2 * torch.log(1 - probability))[~center].sum()
    loss = -(hit + miss) / max(int(center.sum()), 1)
    counted = target.weight > 0
    if not counted.any():
        return loss
    giou = _giou(output.distances[:, counted], target.sides[:, counted])
    weight = target.weight[counted]
    return loss + _BOX_WEIGHT * ((1 - giou) * weight).sum() / weight.sum()


def _giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalized IoU of boxes around the same points, both (4, N) distances to left, top, right and bottom.

    A point may lie outside its target box, whose distance to that side is then negative.
    """
    shared, hull = torch.minimum(a, b), torch.maximum(a, b)
    intersection = (shared[0] + shared[2]).clamp(min=0) * (shared[1] + shared[3]).clamp(min=0)
    union = (a[0] + a[2]) * (a[1] + a[3]) + (b[0] + b[2]) * (b[1] + b[3]) - intersection
    around = (hull[0] + hull[2]) * (hull[1] + hull[3])
    return intersection / union - (around - union) / around
