"""Mask branch of the detector: prototypes and their coefficients (Bolya et al., "YOLACT", ICCV 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeloop.export.network.blocks import ConvNorm

__all__ = ["PROTOTYPES", "PROTOTYPE_STRIDE", "MaskBranch", "is_mask_layer", "prototype_count"]

#: Number of prototypes of a segmentation model.
PROTOTYPES = 16
#: Pixels of the input per pixel of a prototype.
PROTOTYPE_STRIDE = 4

_PREFIX = "masks."
_HIDDEN, _COEFFICIENT_CHANNELS = 32, 16
_LAST = f"{_PREFIX}mix.weight"


class MaskBranch(nn.Module):
    """Prototypes from the level at stride 8, and coefficients from every level.

    The mask of a cell is sigmoid(coefficients @ prototypes) within the cell's box.

    Args:
        count: Number of prototypes.
        channels: Channels of the levels at strides 8, 16 and 32.
    """

    def __init__(self, count: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.count = count
        self.coarse = ConvNorm(channels[0], _HIDDEN, 3, act=nn.ReLU(inplace=True))
        self.fine = ConvNorm(_HIDDEN, _HIDDEN, 3, act=nn.ReLU(inplace=True))
        self.mix = nn.Conv2d(_HIDDEN, count, 1)
        self.coefficients = nn.ModuleList(
            nn.Sequential(
                ConvNorm(each, _COEFFICIENT_CHANNELS, 3, act=nn.ReLU(inplace=True)),
                nn.Conv2d(_COEFFICIENT_CHANNELS, count, 1),
            )
            for each in channels
        )

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute coefficients and prototypes.

        Args:
            levels: Features at strides 8, 16 and 32, (B, channels, H / stride, W / stride).

        Returns:
            Coefficients (B, count, N), cells row by row, level by level; and prototypes, (B, count, H / 4,
            W / 4).
        """
        found = [branch(level).flatten(2) for branch, level in zip(self.coefficients, levels, strict=True)]
        # Nearest neighbors and a convolution: NPUs run both, a transposed convolution not all of them.
        fine = self.fine(F.interpolate(self.coarse(levels[0]), scale_factor=2.0))
        return torch.cat(found, dim=2), self.mix(fine)


def is_mask_layer(key: str) -> bool:
    """True for a tensor of a detector's state dict that belongs to the mask branch."""
    return key.startswith(_PREFIX)


def prototype_count(state: Mapping[str, Tensor]) -> int:
    """Number of prototypes of a detector with this state dict; 0 without a mask branch."""
    return len(state[_LAST]) if _LAST in state else 0
