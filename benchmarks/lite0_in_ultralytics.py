"""Detector edgeloop-lite0 built of ultralytics' own modules, so that its trainer trains the same network.

The backbone is registered with torchvision, where ultralytics' layer `TorchVision` finds it by name. Import
this module in every process that builds the network.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

import edgeloop.export.ultralytics  # isort: skip  # noqa: F401 (switches ultralytics offline)
import torch
import yaml
from torch import Tensor, nn
from torchvision.models import list_models
from torchvision.models._api import register_model
from ultralytics.nn.modules import Bottleneck, Conv
from ultralytics.nn.tasks import DetectionModel

from edgeloop.export.network.blocks import ConvNorm
from edgeloop.export.network.compact_detector import CompactDetector
from edgeloop.export.network.lite0_backbone import InvertedResidual, Lite0Backbone
from edgeloop.export.network.start_detector import start_detector

__all__ = ["START_CLASSES", "to_ultralytics", "write_start"]

#: Number of classes of the checkpoint, which no scene has: the last class layers start anew, as ours do.
START_CLASSES = 64

_BACKBONE = "edgeloop_lite0"
_DESCRIPTION = f"""
nc: {START_CLASSES}
end2end: False
reg_max: 1
activation: nn.ReLU()
backbone:
  - [-1, 1, TorchVision, [192, {_BACKBONE}, null, True, 0, True]] # 0: input, stem and six stages
  - [0, 1, Index, [40, 4]]
  - [0, 1, Index, [112, 6]] # 2
  - [0, 1, Index, [192, 7]]
  - [-1, 1, Conv, [96, 1, 1]] # 4: spatial pyramid pooling, whose first convolution has a ReLU
  - [-1, 1, nn.MaxPool2d, [5, 1, 2]]
  - [-1, 1, nn.MaxPool2d, [5, 1, 2]]
  - [-1, 1, nn.MaxPool2d, [5, 1, 2]]
  - [[4, 5, 6, 7], 1, Concat, [1]]
  - [-1, 1, Conv, [160, 1, 1]] # 9
head:
  - [-1, 1, nn.Upsample, [null, 2, nearest]]
  - [[-1, 2], 1, Concat, [1]]
  - [-1, 1, C3k2, [128, False]] # 12
  - [-1, 1, nn.Upsample, [null, 2, nearest]]
  - [[-1, 1], 1, Concat, [1]]
  - [-1, 1, C3k2, [64, False]] # 15: stride 8
  - [-1, 1, Conv, [64, 3, 2]]
  - [[-1, 12], 1, Concat, [1]]
  - [-1, 1, C3k2, [128, False]] # 18: stride 16
  - [-1, 1, Conv, [128, 3, 2]]
  - [[-1, 9], 1, Concat, [1]]
  - [-1, 1, C3k2, [160, False]] # 21: stride 32
  - [[15, 18, 21], 1, Detect, [nc]]
"""


def write_start(path: Path) -> Path:
    """Write the start weights of edgeloop-lite0 as a checkpoint (.pt) of ultralytics."""
    detector, _ = start_detector(START_CLASSES, None, seed=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": to_ultralytics(detector), "train_args": {}}, path)
    return path


def to_ultralytics(detector: CompactDetector) -> DetectionModel:
    """Build the detector of ultralytics that computes the same, for up to 64 classes.

    Raises:
        ValueError: The two have tensors of different shapes.
    """
    classes = detector.head.scores[0][-1].out_channels  # type: ignore[index]  # a branch is a Sequential
    model = DetectionModel(yaml.safe_load(_DESCRIPTION), nc=classes, verbose=False)
    given, wanted = list(_in_their_order(detector.state_dict())), model.state_dict()
    for (own, value), (key, other) in zip(given, wanted.items(), strict=True):
        if value.shape != other.shape:
            raise ValueError(f"{own} is {tuple(value.shape)}, {key} is {tuple(other.shape)}")
    model.load_state_dict(dict(zip(wanted, (value for _, value in given), strict=True)))
    return model


def _in_their_order(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Order tensors as ultralytics does: C3k2 lists its bottleneck after the convolution that joins."""
    for _, block in groupby(state.items(), key=lambda item: item[0].split(".")[:2]):
        yield from sorted(block, key=lambda item: ".bottleneck." in item[0])


def _lite0(*, weights: None = None) -> nn.Module:  # noqa: ARG001 (torchvision's signature)
    """Build the backbone; its only child is the list of stem and stages, as torchvision's models have it."""
    features = nn.Sequential(*map(_like, Lite0Backbone().stages))
    return nn.Sequential(OrderedDict(features=features))


def _like(layer: nn.Module) -> nn.Module:
    """Build the same part of the backbone from ultralytics' modules."""
    if isinstance(layer, ConvNorm):
        return _conv(layer)
    if isinstance(layer, InvertedResidual):
        return _residual(layer)
    return nn.Sequential(*map(_like, layer.children()))


def _residual(block: InvertedResidual) -> nn.Module:
    expand = [_conv(block.expand)] if isinstance(block.expand, ConvNorm) else []
    depthwise, project = _conv(block.depthwise), _conv(block.project)
    if not block.shortcut:
        return nn.Sequential(*expand, depthwise, project)
    channels = block.project.conv.out_channels
    residual: nn.Module = Bottleneck(channels, channels)  # computes x + cv2(cv1(x)) for any two modules
    residual.cv1, residual.cv2 = nn.Sequential(*expand, depthwise), project
    return residual


def _conv(layer: ConvNorm) -> nn.Module:
    conv, pad = layer.conv, layer.pad
    made: nn.Module = Conv(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, p=conv.padding, g=conv.groups,
        act=False if isinstance(layer.act, nn.Identity) else nn.ReLU6(),
    )  # fmt: skip
    if isinstance(pad, nn.ConstantPad2d):
        return nn.Sequential(nn.ConstantPad2d(pad.padding, pad.value), made)
    return made


if _BACKBONE not in list_models():
    register_model(_BACKBONE)(_lite0)
