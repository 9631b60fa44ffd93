"""Loss of the detector: class scores, overlap and edges of boxes, and masks."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from edgeloop.export.learn.assign import Targets, assign, paired_iou
from edgeloop.export.learn.batches import Batch
from edgeloop.export.learn.mask_loss import mask_loss
from edgeloop.export.learn.mask_targets import MaskTargets
from edgeloop.export.network.compact_detector import CompactDetector, Predictions, grid_points
from edgeloop.export.network.frozen_backbone import FrozenBackbone

__all__ = ["Losses", "batch_losses", "detection_loss"]

_BOX_WEIGHT, _SCORE_WEIGHT, _EDGE_WEIGHT, _MASK_WEIGHT = 7.5, 0.5, 1.5, 2.5


class Losses(NamedTuple):
    """Parts of the loss, weighted; scalars.

    Attributes:
        box: Complete IoU loss.
        score: Binary cross-entropy of the class scores.
        edge: Mean absolute error of the box edges, in strides.
        mask: Binary cross-entropy of the masks; None without masks to learn.
    """

    box: Tensor
    score: Tensor
    edge: Tensor
    mask: Tensor | None = None

    @property
    def total(self) -> Tensor:
        """Sum of the parts."""
        return torch.stack([*self.parts.values()]).sum()

    @property
    def parts(self) -> dict[str, Tensor]:
        """Parts that there are, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def batch_losses(
    detector: CompactDetector, backbone: FrozenBackbone, batch: Batch, labeled: Tensor | None = None
) -> Losses:
    """Run a detector on a batch, in the precision of its frozen backbone, and compute the loss.

    Args:
        detector: Detector in training mode.
        backbone: Its backbone.
        batch: Images and objects, on any device.
        labeled: As of `detection_loss`.
    """
    device = next(detector.parameters()).device
    images = batch.images.to(device).float() / 255
    with torch.autocast(device.type, torch.bfloat16, enabled=backbone.dtype is torch.bfloat16):
        levels = detector.neck(backbone(images))
        predictions = detector.predict(levels)
    shapes = [(level.shape[2], level.shape[3]) for level in levels]
    masks = None if batch.masks is None else batch.masks.to(device)
    return detection_loss(predictions, batch.targets.to(device), shapes, labeled, masks)


def detection_loss(
    predictions: Predictions,
    targets: Targets,
    shapes: list[tuple[int, int]],
    labeled: Tensor | None = None,
    masks: MaskTargets | None = None,
) -> Losses:
    """Compute the loss of a batch in float32.

    Args:
        predictions: Outputs of the detector in training mode.
        targets: Objects of the batch, boxes in px of the input.
        shapes: Rows and columns of the three levels.
        labeled: True for classes that are labeled in an image, bool (B, classes); the scores of the others
            learn nothing from it. None for all.
        masks: Masks of the objects; None to learn boxes alone.

    Returns:
        Parts of the loss; those of boxes and scores normalized by the sum of the scores to learn.
    """
    distances, logits = predictions.distances.float(), predictions.logits.float()
    points, strides = grid_points(shapes, distances.device)
    edges = torch.cat((points - distances[..., :2], points + distances[..., 2:]), dim=-1)
    found = assign(targets, edges.detach() * strides, logits.detach().sigmoid(), points * strides, strides)

    learned = torch.zeros_like(logits)
    learned[found.image, found.cell, targets.class_id[found.target]] = found.score
    total = found.score.sum().clamp(min=1.0)
    errors = F.binary_cross_entropy_with_logits(logits, learned, reduction="none")
    score = (errors if labeled is None else errors * labeled[:, None]).sum() / total

    stride = strides[found.cell]
    predicted, true = edges[found.image, found.cell], targets.xyxy[found.target] / stride
    box = ((1 - _complete_iou(predicted, true)) * found.score).sum() / total
    edge = ((predicted - true).abs().mean(dim=1) * found.score).sum() / total
    losses = Losses(_BOX_WEIGHT * box, _SCORE_WEIGHT * score, _EDGE_WEIGHT * edge)
    if predictions.coefficients is None or predictions.prototypes is None or masks is None:
        return losses
    mask = mask_loss(predictions.coefficients.float(), predictions.prototypes.float(), found, masks)
    return losses._replace(mask=_MASK_WEIGHT * mask)


def _complete_iou(predicted: Tensor, true: Tensor) -> Tensor:
    """Complete IoU (Zheng et al. 2020) of boxes xyxy, pair by pair."""
    iou = paired_iou(predicted, true)
    low = torch.minimum(predicted[:, :2], true[:, :2])
    high = torch.maximum(predicted[:, 2:], true[:, 2:])
    diagonal = (high - low).square().sum(dim=1) + 1e-7
    between = (predicted[:, :2] + predicted[:, 2:] - true[:, :2] - true[:, 2:]).square().sum(dim=1) / 4
    width, height = (predicted[:, 2:] - predicted[:, :2]).clamp(min=1e-3).unbind(dim=1)
    true_width, true_height = (true[:, 2:] - true[:, :2]).clamp(min=1e-3).unbind(dim=1)
    shape = (4 / math.pi**2) * ((true_width / true_height).atan() - (width / height).atan()).square()
    with torch.no_grad():
        weight = shape / (1 - iou + shape + 1e-7)
    return iou - between / diagonal - weight * shape
