"""Task-aligned assignment of cells to objects (Feng et al., "TOOD", ICCV 2021)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Assignment", "Targets", "assign", "paired_iou"]

_TOP_CELLS = 10  # cells per object
_SCORE_POWER, _IOU_POWER = 0.5, 6.0  # alpha and beta of the alignment metric
_EPS = 1e-9


class Targets(NamedTuple):
    """Objects of a batch, G in all.

    Attributes:
        image: Index of the image in the batch, int64 (G,).
        class_id: Class number, int64 (G,).
        xyxy: Boxes in px of the input, float32 (G, 4).
    """

    image: Tensor
    class_id: Tensor
    xyxy: Tensor

    def to(self, device: torch.device) -> Targets:
        """Copy to a device."""
        return Targets(*(each.to(device) for each in self))


class Assignment(NamedTuple):
    """Cells that learn an object, P in all.

    Attributes:
        image: Index of the image in the batch, int64 (P,).
        cell: Index of the cell, int64 (P,).
        target: Index of the object, int64 (P,).
        score: Class score to learn, float32 (P,), in [0, 1].
    """

    image: Tensor
    cell: Tensor
    target: Tensor
    score: Tensor


@torch.no_grad()
def assign(targets: Targets, boxes: Tensor, scores: Tensor, centers: Tensor, strides: Tensor) -> Assignment:
    """Choose the cells that learn each object: those inside it that find it best already.

    An object smaller than a cell is treated as one cell wide, so that none is left without a cell.

    Args:
        targets: Objects of the batch.
        boxes: Predicted boxes, xyxy in px of the input, (B, N, 4).
        scores: Predicted class scores in [0, 1], (B, N, classes).
        centers: Middle of each cell in px, (N, 2).
        strides: Stride of each cell in px, (N, 1).

    Returns:
        The assignment; a cell learns one object, or several that it overlaps equally.
    """
    half = (targets.xyxy[:, 2:] - targets.xyxy[:, :2]) / 2
    middle = targets.xyxy[:, :2] + half
    reach = half[:, None].clamp(min=float(strides.min()) / 2 + 0.01)
    offset = (centers[None] - middle[:, None]).abs()
    target, cell = (offset < reach).all(dim=2).nonzero(as_tuple=True)
    image = targets.image[target]
    iou = paired_iou(boxes[image, cell], targets.xyxy[target]).clamp(min=0)
    align = scores[image, cell, targets.class_id[target]] ** _SCORE_POWER * iou**_IOU_POWER

    ranked = align.new_full((len(targets.image), len(centers)), -1.0)
    ranked[target, cell] = align
    best, best_cell = ranked.topk(min(_TOP_CELLS, len(centers)), dim=1)
    chosen = torch.zeros_like(ranked, dtype=torch.bool)
    chosen.scatter_(1, best_cell, best >= 0)
    kept = chosen[target, cell]
    target, cell, image, iou, align = target[kept], cell[kept], image[kept], iou[kept], align[kept]

    # A cell inside several objects learns the one that it overlaps most.
    place = image * len(centers) + cell
    most = iou.new_full((len(boxes) * len(centers),), -1.0).scatter_reduce(0, place, iou, "amax")
    kept = iou >= most[place]
    target, cell, image, iou, align = target[kept], cell[kept], image[kept], iou[kept], align[kept]

    # The best cell of an object learns its IoU as score, the others proportionally less.
    top_align = _maxima(align, target, len(targets.image))
    top_iou = _maxima(iou, target, len(targets.image))
    score = align / (top_align[target] + _EPS) * top_iou[target]
    return Assignment(image, cell, target, score)


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes xyxy, pair by pair: (P, 4) and (P, 4) to (P,)."""
    low = torch.maximum(first[:, :2], second[:, :2])
    high = torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    union = (first[:, 2:] - first[:, :2]).prod(dim=1) + (second[:, 2:] - second[:, :2]).prod(dim=1) - shared
    return shared / (union + _EPS)


def _maxima(values: Tensor, group: Tensor, groups: int) -> Tensor:
    return values.new_zeros(groups).scatter_reduce(0, group, values, "amax")
