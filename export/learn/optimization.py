"""Optimizer, learning rate and moving average of a training."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from edgeloop.export.network.compact_detector import CompactDetector

__all__ = ["MovingAverage", "learning_rate", "make_optimizer", "set_learning_rate"]

_WEIGHT_DECAY = 5e-4
_LAST_SHARE = 0.02  # of the learning rate at the end
_DECAY = 0.9998


def make_optimizer(detector: nn.Module) -> torch.optim.AdamW:
    """Make AdamW over the parameters that learn; weight decay for weights of convolutions only."""
    trained = [each for each in detector.parameters() if each.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [each for each in trained if each.ndim > 1], "weight_decay": _WEIGHT_DECAY},
            {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
        ]
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def learning_rate(peak: float, progress: float, warm_up: float) -> float:
    """Compute the learning rate: linear warm-up, then a linear fall.

    Args:
        peak: Highest learning rate.
        progress: Share of the training that is over, 0 to 1.
        warm_up: Share of the training that is warm-up.
    """
    if progress < warm_up:
        return peak * max(progress / warm_up, 0.01)
    left = (1 - progress) / (1 - warm_up)
    return peak * (_LAST_SHARE + (1 - _LAST_SHARE) * max(left, 0.0))


class MovingAverage:
    """Exponential moving average of a detector's weights; over a tenth of the steps so far at most.

    Attributes:
        detector: Detector with the averaged weights, in evaluation mode.
        steps: Number of updates.
    """

    def __init__(self, detector: CompactDetector) -> None:
        self.detector = copy.deepcopy(detector).eval().requires_grad_(False)
        self.steps = 0

    @torch.no_grad()
    def update(self, detector: nn.Module) -> None:
        """Take the detector's current weights into the average."""
        decay = min(_DECAY, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        averages: list[Tensor] = []
        currents: list[Tensor] = []
        current_state = detector.state_dict()
        for name, average in self.detector.state_dict().items():
            if average.is_floating_point():
                averages.append(average)
                currents.append(current_state[name])
            else:
                average.copy_(current_state[name])
        torch._foreach_lerp_(averages, currents, 1 - decay)
