"""Detector edgeloop-lite0: EfficientNet-Lite0, a light path aggregation neck, a dense anchor-free head.

For a camera at about 320 px: fast on a CPU, ReLU and ReLU6 throughout for NPUs and INT8.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeloop.export.network.blocks import ConvNorm, CrossStageBlock, PyramidPooling
from edgeloop.export.network.lite0_backbone import OUT_CHANNELS, Lite0Backbone
from edgeloop.export.network.mask_branch import MaskBranch

__all__ = ["NMS_IOU", "STRIDES", "CompactDetector", "Predictions", "grid_points", "is_class_layer"]

STRIDES = (8, 16, 32)
NMS_IOU = 0.5
"""IoU threshold of non-maximum suppression within a class. Trained on few images, the detector often finds an
object twice; benchmarks/nms_threshold.py compares thresholds."""
_NECK = (64, 128, 160)  # channels of the neck's outputs
_BOX_CHANNELS = 16
_START_PROBABILITY = 0.01  # of a class before training, as in focal loss (Lin et al. 2017)
_START_DISTANCE = 2.0  # of a box edge from its cell before training, strides


class Predictions(NamedTuple):
    """Raw outputs of the detector for a batch; N cells row by row, strides 8, 16 and 32 in turn.

    Attributes:
        distances: Left, top, right, bottom edge from the middle of the cell, in strides, (B, N, 4).
        logits: Class logits, (B, N, classes).
        coefficients: Coefficients of the prototypes, (B, N, K); None without a mask branch.
        prototypes: Prototypes at stride 4, (B, K, H / 4, W / 4); None without a mask branch.
    """

    distances: Tensor
    logits: Tensor
    coefficients: Tensor | None = None
    prototypes: Tensor | None = None


class CompactDetector(nn.Module):
    """Detector with one score per class and box, without objectness; with masks, if it has prototypes.

    In training mode it returns `Predictions`, in evaluation mode the output of the head "classic",
    (B, 4 + classes, N): center x, center y, width, height in pixels of the input, then scores in [0, 1].
    With masks these are the two outputs of the head "segment": (B, 4 + classes + masks, N), the coefficients
    behind the scores, and the prototypes, (B, masks, H / 4, W / 4).

    Args:
        classes: Number of classes.
        masks: Number of prototypes of the mask branch; 0 for none.
    """

    def __init__(self, classes: int, masks: int = 0) -> None:
        super().__init__()
        self.backbone = Lite0Backbone()
        self.neck = _Neck()
        self.head = _Head(classes)
        self.masks = MaskBranch(masks, _NECK) if masks else None

    def forward(self, image: Tensor) -> Predictions | Tensor | tuple[Tensor, Tensor]:
        """Detect in images (B, 3, H, W), RGB in [0, 1], H and W multiples of 32."""
        levels = self.neck(self.backbone(image))
        predictions = self.predict(levels)
        if self.training:
            return predictions
        boxes = self._boxes(predictions, levels)
        if predictions.coefficients is None or predictions.prototypes is None:
            return boxes
        return torch.cat((boxes, predictions.coefficients), dim=1), predictions.prototypes

    def predict(self, levels: list[Tensor]) -> Predictions:
        """Compute predictions from the levels of the neck.

        In evaluation mode channels stay first, (B, 4, N), so that an exported graph needs no transposition.
        """
        predictions: Predictions = self.head(levels)
        if self.masks is None:
            return predictions
        coefficients, prototypes = self.masks(levels)
        if self.training:
            coefficients = coefficients.transpose(1, 2)
        return predictions._replace(coefficients=coefficients, prototypes=prototypes)

    @staticmethod
    def _boxes(predictions: Predictions, levels: list[Tensor]) -> Tensor:
        """Compute the output of the head "classic" from predictions with channels first."""
        distances, logits = predictions.distances, predictions.logits
        shapes = [(level.shape[2], level.shape[3]) for level in levels]
        points, strides = (each.T for each in grid_points(shapes, distances.device))
        near, far = distances.split(2, dim=1)
        center = (points + (far - near) / 2) * strides
        size = (near + far) * strides
        return torch.cat((center, size, logits.sigmoid()), dim=1)


class _Neck(nn.Module):
    """Top-down and bottom-up path over the backbone's three levels (PANet, 2018)."""

    def __init__(self) -> None:
        super().__init__()
        small, middle, large = _NECK
        low, mid, high = OUT_CHANNELS
        self.pooling = PyramidPooling(high, large)
        self.top_down_16 = CrossStageBlock(large + mid, middle)
        self.top_down_8 = CrossStageBlock(middle + low, small)
        self.down_16 = ConvNorm(small, small, 3, 2, act=nn.ReLU(inplace=True))
        self.bottom_up_16 = CrossStageBlock(small + middle, middle)
        self.down_32 = ConvNorm(middle, middle, 3, 2, act=nn.ReLU(inplace=True))
        self.bottom_up_32 = CrossStageBlock(middle + large, large)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        low, mid, high = features
        high = self.pooling(high)
        mid = self.top_down_16(torch.cat((F.interpolate(high, scale_factor=2.0), mid), dim=1))
        low = self.top_down_8(torch.cat((F.interpolate(mid, scale_factor=2.0), low), dim=1))
        mid = self.bottom_up_16(torch.cat((self.down_16(low), mid), dim=1))
        high = self.bottom_up_32(torch.cat((self.down_32(mid), high), dim=1))
        return [low, mid, high]


class _Head(nn.Module):
    """Decoupled box and class branch at each stride."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.boxes = nn.ModuleList(_box_branch(channels) for channels in _NECK)
        self.scores = nn.ModuleList(_score_branch(channels, classes) for channels in _NECK)

    def forward(self, levels: list[Tensor]) -> Predictions:
        """Compute predictions; in evaluation mode with channels first: (B, 4, N) and (B, classes, N)."""
        distances = [branch(level).flatten(2) for branch, level in zip(self.boxes, levels, strict=True)]
        logits = [branch(level).flatten(2) for branch, level in zip(self.scores, levels, strict=True)]
        first, second = torch.cat(distances, dim=2), torch.cat(logits, dim=2)
        if self.training:
            first, second = first.transpose(1, 2), second.transpose(1, 2)
        return Predictions(first, second)


def _box_branch(channels: int) -> nn.Sequential:
    last = nn.Conv2d(_BOX_CHANNELS, 4, 1)
    nn.init.constant_(last.bias, _START_DISTANCE)  # type: ignore[arg-type]  # it has a bias
    return nn.Sequential(
        ConvNorm(channels, _BOX_CHANNELS, 3, act=nn.ReLU(inplace=True)),
        ConvNorm(_BOX_CHANNELS, _BOX_CHANNELS, 3, act=nn.ReLU(inplace=True)),
        last,
    )


def _score_branch(channels: int, classes: int) -> nn.Sequential:
    hidden = _NECK[0]
    last = nn.Conv2d(hidden, classes, 1)
    nn.init.constant_(last.bias, math.log(_START_PROBABILITY / (1 - _START_PROBABILITY)))  # type: ignore[arg-type]
    return nn.Sequential(
        ConvNorm(channels, channels, 3, groups=channels, act=nn.ReLU(inplace=True)),
        ConvNorm(channels, hidden, act=nn.ReLU(inplace=True)),
        ConvNorm(hidden, hidden, 3, groups=hidden, act=nn.ReLU(inplace=True)),
        ConvNorm(hidden, hidden, act=nn.ReLU(inplace=True)),
        last,
    )


def is_class_layer(key: str) -> bool:
    """True for a tensor of the state dict whose shape depends on the number of classes."""
    return re.fullmatch(r"head\.scores\.\d+\.4\.(weight|bias)", key) is not None


def grid_points(shapes: list[tuple[int, int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Compute the middle of every cell.

    Args:
        shapes: Rows and columns of the three levels.
        device: Device of the result.

    Returns:
        Middle x, y in strides, (N, 2), and stride in px, (N, 1), float32.
    """
    points, strides = [], []
    for (rows, columns), stride in zip(shapes, STRIDES, strict=True):
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        points.append(torch.stack((x, y), dim=-1).reshape(-1, 2) + 0.5)
        strides.append(torch.full((rows * columns, 1), float(stride)))
    return torch.cat(points).to(device), torch.cat(strides).to(device)
