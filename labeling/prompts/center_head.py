"""A small detection head on frozen features: centers, classes and sizes of objects.

Anchor-free, in the manner of CenterNet and FCOS: for each cell of stride 8 a logit per class, and the
distances from the cell's center to the sides of the box. "Working pixels" are those of the resized image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeloop.labeling.features.backbone import CHANNELS

__all__ = ["STRIDE", "CenterHead", "HeadOutput", "Maps", "decode_boxes", "mean_output", "stacked"]

STRIDE = 8
_WIDTH = 128
_REACH = 5  # cells; with 3, boxes of long things that lie slanted came out too short
_STACKED_CHANNELS = (4 * CHANNELS[0] + CHANNELS[1], CHANNELS[2], CHANNELS[3])

Maps = tuple[Tensor, Tensor, Tensor]
"""Features at strides 8, 16 and 32 of one image, each (1, C, h, w)."""


class HeadOutput(NamedTuple):
    """Output of the head for one image of h x w cells.

    Attributes:
        logits: (classes, h, w).
        distances: (4, h, w), from the center of a cell to the left, top, right and bottom of the box, working
            pixels.
    """

    logits: Tensor
    distances: Tensor


def stacked(features: Sequence[Tensor]) -> Maps:
    """Fold stride 4 into stride 8 by pixel-unshuffle.

    Args:
        features: (1, C, h, w) for each stride of `edgeloop.labeling.features.backbone.STRIDES`.

    Returns:
        The maps that the head takes, channels last in memory: on a CPU its convolutions are up to
        twice as fast so.
    """
    s4, s8, s16, s32 = features
    maps = torch.cat((F.pixel_unshuffle(s4, 2), s8), dim=1), s16, s32
    first, second, third = (level.contiguous(memory_format=torch.channels_last) for level in maps)
    return first, second, third


class CenterHead(nn.Module):
    """The trained part of the proposer: some ten thousand weights."""

    def __init__(self, classes: int, statistics: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Build the head.

        Args:
            classes: Number of classes.
            statistics: Mean and variance (C,) of each of the maps, on the frames to learn from.
        """
        super().__init__()
        for level, (mean, variance) in enumerate(statistics):
            self.register_buffer(f"mean{level}", mean)
            self.register_buffer(f"variance{level}", variance)
        self.project = nn.ModuleList(nn.Conv2d(channels, _WIDTH, 1) for channels in _STACKED_CHANNELS)
        self.mix = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Conv2d(_WIDTH, _WIDTH, _REACH, padding=_REACH // 2, groups=_WIDTH),
            nn.Conv2d(_WIDTH, _WIDTH, 1),
            nn.ReLU(inplace=True),
        )
        self.center = _output(classes, -4.0)  # almost every cell is background
        self.sides = _output(4, 0.5)

    def forward(self, maps: Maps) -> HeadOutput:
        """Predict centers and boxes from the maps of one image."""
        size = maps[0].shape[-2:]
        # Large maps are overwritten where that is possible: each new one takes as long as the sums.
        total = maps[0].new_zeros((1, _WIDTH, *size)).contiguous(memory_format=torch.channels_last)
        for level, (features, project) in enumerate(zip(maps, self.project, strict=True)):
            mean, variance = self.get_buffer(f"mean{level}"), self.get_buffer(f"variance{level}")
            projected = project(F.batch_norm(features, mean, variance, eps=0.0))
            if level:
                projected = F.interpolate(projected, size=size, mode="bilinear", align_corners=False)
            total.add_(projected, alpha=0.5)
        mixed = self.mix(total)
        return HeadOutput(self.center(mixed)[0], STRIDE * torch.exp(self.sides(mixed)[0].clamp(-6, 6)))


def mean_output(outputs: Sequence[HeadOutput]) -> HeadOutput:
    """Average several heads: the mean of logits and the geometric mean of distances."""
    logits = torch.stack([output.logits for output in outputs])
    distances = torch.stack([output.distances for output in outputs])
    return HeadOutput(logits.mean(dim=0), distances.log().mean(dim=0).exp())


def _output(channels: int, bias: float) -> nn.Conv2d:
    layer = nn.Conv2d(_WIDTH, channels, 1)
    with torch.no_grad():
        torch.nn.init.constant_(layer.get_parameter("bias"), bias)
    return layer


def decode_boxes(output: HeadOutput, threshold: float) -> tuple[Tensor, Tensor]:
    """Decode boxes at the peaks of the class maps.

    Args:
        output: Of the head.
        threshold: Least probability of a peak.

    Returns:
        float32 (N, 4) xyxy in working pixels, and float32 (N, classes) probabilities at the peaks.
    """
    probability = torch.sigmoid(output.logits)
    best = probability.amax(dim=0)
    peak = (best == F.max_pool2d(best[None], 3, stride=1, padding=1)[0]) & (best > threshold)
    rows, columns = torch.nonzero(peak, as_tuple=True)
    center = (torch.stack((columns, rows), dim=1) + 0.5) * STRIDE
    sides = output.distances[:, rows, columns].T
    return torch.cat((center - sides[:, :2], center + sides[:, 2:]), dim=1), probability[:, rows, columns].T
