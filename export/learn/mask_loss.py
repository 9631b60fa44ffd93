"""Loss of masks: cross-entropy of the pixels in each box, as in YOLACT (Bolya et al. 2019) and YOLOv8-seg."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgeloop.export.learn.assign import Assignment
from edgeloop.export.learn.mask_targets import FULL, MaskTargets

__all__ = ["mask_loss"]

_OBJECTS_PER_IMAGE = 32  # whose masks learn in a step, a mean over the batch


def mask_loss(coefficients: Tensor, prototypes: Tensor, found: Assignment, masks: MaskTargets) -> Tensor:
    """Compute the binary cross-entropy of the masks of cells that learn an object.

    Each mask counts the same, whatever its size: as the mean over the pixels of its window. In a batch with
    more than 32 objects per image, some are left out, evenly spread.

    Args:
        coefficients: Coefficients of the prototypes, float32 (B, N, K).
        prototypes: Prototypes, float32 (B, K, H, W).
        found: Cells that learn an object.
        masks: Masks of the objects.

    Returns:
        Mean over the masks, a scalar; 0 without any.
    """
    if not len(found.cell):
        return coefficients.sum() * 0 + prototypes.sum() * 0
    order = found.target.argsort(stable=True)
    image, cell = found.image[order], found.cell[order]
    target, cells = found.target[order].unique_consecutive(return_counts=True)
    first = cells.cumsum(0) - cells
    learned = _spread(len(target), _OBJECTS_PER_IMAGE * len(prototypes), target.device)

    # The pixels of an object's window are gathered once for all of its cells; numbers are by object.
    rows, pixels, true = _gathered(prototypes, image[first], target, masks, learned)
    kept = torch.zeros_like(target, dtype=torch.bool)
    kept[learned] = True
    kept = kept.repeat_interleave(cells)
    mixed = coefficients[image[kept], cell[kept]].split(cells[learned].tolist())
    logits = torch.cat([(p @ c.T).ravel() for p, c in zip(rows.split(pixels.tolist()), mixed, strict=True)])
    copies = cells[learned].repeat_interleave(pixels)  # of each pixel: one for each cell
    errors = F.binary_cross_entropy_with_logits(logits, true.repeat_interleave(copies), reduction="none")
    weight = (1 / pixels).repeat_interleave(pixels).repeat_interleave(copies)
    result: Tensor = (errors * weight).sum() / cells[learned].sum()
    return result


def _spread(count: int, most: int, device: torch.device) -> Tensor:
    """Numbers below `count`, evenly spread, at most `most` of them."""
    return torch.arange(0, count, -(-count // most), device=device)


def _gathered(
    prototypes: Tensor, images: Tensor, targets: Tensor, masks: MaskTargets, chosen: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gather the pixels of the chosen objects' windows.

    Returns:
        Prototypes at each pixel, (P, K); number of pixels of each object; share of each pixel that it covers,
        in [0, 1], (P,).
    """
    areas = (masks.windows[:, 2:] - masks.windows[:, :2]).prod(dim=1)
    target = targets[chosen]
    count = areas[target]
    mask = torch.arange(len(target), device=count.device).repeat_interleave(count)
    pixel = torch.arange(len(mask), device=count.device) - (count.cumsum(0) - count)[mask]
    left, top, right, _ = masks.windows[target].T
    across = (right - left)[mask]
    row, column = top[mask] + pixel // across, left[mask] + pixel % across
    height, width = prototypes.shape[2:]
    flat = prototypes.permute(0, 2, 3, 1).reshape(-1, prototypes.shape[1])
    rows = flat.index_select(0, (images[chosen][mask] * height + row) * width + column)
    covered = masks.covered[(areas.cumsum(0) - areas)[target][mask] + pixel]
    return rows, count, covered.float() / FULL
