"""Convolution blocks of the detector, all with batch norm."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["ConvNorm", "CrossStageBlock", "PyramidPooling", "folded"]

M = TypeVar("M", bound=nn.Module)


class ConvNorm(nn.Module):
    """Convolution, batch norm and activation; same padding, or TensorFlow's for `tf_pad_value`.

    Args:
        channels_in: Input channels.
        channels_out: Output channels.
        kernel: Side of the kernel, px.
        stride: Stride, px.
        groups: Groups of channels.
        act: Activation; None for none.
        tf_pad_value: Padding value of TensorFlow's SAME padding with stride 2, which has less on the top and
            left; None pads with zeros on all sides alike.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        act: nn.Module | None = None,
        tf_pad_value: float | None = None,
    ) -> None:
        super().__init__()
        before, after = (kernel - 2) // 2, (kernel - 1) // 2
        self.pad = (
            nn.Identity()
            if tf_pad_value is None
            else nn.ConstantPad2d((before, after, before, after), tf_pad_value)
        )
        padding = kernel // 2 if tf_pad_value is None else 0
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(channels_out, eps=1e-3, momentum=0.03)
        self.act = act or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H / stride, W / stride)."""
        result: Tensor = self.act(self.norm(self.conv(self.pad(x))))
        return result


class _Bottleneck(nn.Module):
    """Two 3x3 convolutions with half of the channels between them, and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels // 2, 3, act=nn.ReLU(inplace=True))
        self.second = ConvNorm(channels // 2, channels, 3, act=nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.second(self.first(x))
        return result


class CrossStageBlock(nn.Module):
    """Cross-stage partial block: half of the channels pass a bottleneck, all are joined (CSPNet, 2019)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        half = channels_out // 2
        self.split = ConvNorm(channels_in, 2 * half, act=nn.ReLU(inplace=True))
        self.bottleneck = _Bottleneck(half)
        self.join = ConvNorm(3 * half, channels_out, act=nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H, W)."""
        left, right = self.split(x).chunk(2, dim=1)
        result: Tensor = self.join(torch.cat((left, right, self.bottleneck(right)), dim=1))
        return result


class PyramidPooling(nn.Module):
    """Spatial pyramid pooling as three 5x5 maxima in a row (He et al. 2015)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        hidden = channels_in // 2
        self.reduce = ConvNorm(channels_in, hidden, act=nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)
        self.join = ConvNorm(4 * hidden, channels_out, act=nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H, W)."""
        levels = [self.reduce(x)]
        for _ in range(3):
            levels.append(self.pool(levels[-1]))
        result: Tensor = self.join(torch.cat(levels, dim=1))
        return result


def folded(module: M) -> M:
    """Copy a module in evaluation mode, with every batch norm folded into its convolution."""
    module = copy.deepcopy(module).eval()
    for each in module.modules():
        if isinstance(each, ConvNorm) and isinstance(each.norm, nn.BatchNorm2d):
            each.conv = fuse_conv_bn_eval(each.conv, each.norm)
            each.norm = nn.Identity()
    return module
