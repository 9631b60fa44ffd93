"""Losses of a promptable segmenter (Kirillov et al. 2023, appendix A): focal, dice, predicted IoU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["prompt_loss"]

_FOCAL_WEIGHT = 20.0
_FOCAL_GAMMA = 2.0
_IOU_WEIGHT = 4.0
_CHOICE_WEIGHT = 1.0
_CHOICE_TEMPERATURE = 0.05  # of IoU


def prompt_loss(
    logits: Tensor, predicted_iou: Tensor, masks: Tensor, is_box: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the loss over prompts.

    A box means one mask, on which output 0 is trained. A point may mean a part or the whole: output 1 is
    trained on every mask, and only the better one of outputs 2 and 3, so that they stay different. Every
    output is trained to predict its IoU, and those of a point to rank themselves.

    Args:
        logits: (N, 4, h, w) mask logits.
        predicted_iou: (N, 4) predicted IoU.
        masks: (N, h, w) true masks in [0, 1].
        is_box: (N,) bool, True for a box prompt.

    Returns:
        The loss, a scalar, and the true IoU of each output (N, 4), detached.
    """
    logits = logits.float()
    target = masks.unsqueeze(1).expand_as(logits)
    quality = _FOCAL_WEIGHT * _focal(logits, target) + _dice(logits, target)
    of_box = quality[:, 0] + 0.1 * quality[:, 1:].amin(1)
    of_point = 0.3 * quality[:, 0] + quality[:, 1] + quality[:, 2:].amin(1) + 0.1 * quality[:, 2:].mean(1)
    mask_loss = torch.where(is_box, of_box, of_point).mean()
    with torch.no_grad():
        hit, truth = logits > 0, target > 0.5
        union = (hit | truth).sum((2, 3)).clamp(min=1)
        true_iou = (hit & truth).sum((2, 3)) / union
    predicted_iou = predicted_iou.float()
    regret = _regret(predicted_iou[~is_box, 1:], true_iou[~is_box, 1:])
    loss = mask_loss + _IOU_WEIGHT * F.mse_loss(predicted_iou, true_iou) + _CHOICE_WEIGHT * regret
    return loss, true_iou


def _regret(predicted_iou: Tensor, true_iou: Tensor) -> Tensor:
    """Mean IoU lost by choosing among masks (N, M) by their predicted IoU."""
    choice = torch.softmax(predicted_iou / _CHOICE_TEMPERATURE, dim=1)
    return (true_iou.amax(1) - (choice * true_iou).sum(1)).sum() / max(1, len(true_iou))


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    wrong = (torch.sigmoid(logits) - target).abs()
    return (wrong**_FOCAL_GAMMA * cross_entropy).mean((2, 3))


def _dice(logits: Tensor, target: Tensor) -> Tensor:
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * target).sum((2, 3)) + 1
    return 1 - overlap / (probability.sum((2, 3)) + target.sum((2, 3)) + 1)
