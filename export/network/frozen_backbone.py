"""Backbone in training: stages that are not trained run with folded batch norms, without gradients."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeloop.export.network.blocks import folded
from edgeloop.export.network.lite0_backbone import OUTPUTS, InvertedResidual, Lite0Backbone

__all__ = ["FrozenBackbone"]

# Stages at strides 2 and 4 run image by image on a CPU: the activations of one image fit into the cache.
_EARLY = 3


class FrozenBackbone:
    """Forward pass of a backbone whose leading stages are not trained, twice as fast as under autocast.

    Args:
        backbone: Backbone on its device; gradients of its leading stages are switched off.
        frozen: Number of leading stages that are not trained. They are copied: a later change of their
            weights has no effect.
        dtype: Type to compute them in.

    Attributes:
        dtype: The same.
    """

    def __init__(self, backbone: Lite0Backbone, frozen: int, dtype: torch.dtype) -> None:
        self.dtype = dtype
        stages = list(backbone.stages)
        self._frozen = nn.ModuleList()
        for stage in stages[:frozen]:
            stage.requires_grad_(False)
            self._frozen.append(folded(stage).to(dtype).to(memory_format=torch.channels_last))
        self._trained = stages[frozen:]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Compute features at strides 8, 16 and 32 from images (B, 3, H, W), RGB in [0, 1]."""
        x, outputs = self._run_frozen(images)
        for number, stage in enumerate(self._trained, start=len(self._frozen)):
            x = stage(x)
            if number in OUTPUTS:
                outputs.append(x)
        return outputs

    @torch.no_grad()
    def _run_frozen(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        if not self._frozen:
            return images, []
        early, late = self._frozen[:_EARLY], self._frozen[_EARLY:]
        parts = images.split(1) if images.device.type == "cpu" else [images]
        x = torch.cat([_run(early, part.to(self.dtype)) for part in parts])
        outputs = []
        for number, stage in enumerate(late, start=len(early)):
            x = _run([stage], x)
            if number in OUTPUTS:
                outputs.append(x)
        return x, outputs


def _run(stages: nn.ModuleList | list[nn.Module], x: Tensor) -> Tensor:
    for stage in stages:
        for block in stage if isinstance(stage, nn.Sequential) else [stage]:
            x = _run_block(block, x)
    return x


def _run_block(block: nn.Module, x: Tensor) -> Tensor:
    """Run a block; if it pads, pad its input with a sixth of the channels instead of the expanded one."""
    pad = block.depthwise.pad if isinstance(block, InvertedResidual) else None
    if not isinstance(block, InvertedResidual) or not isinstance(pad, nn.ConstantPad2d):
        whole: Tensor = block(x)
        return whole
    left, right, top, bottom = pad.padding
    hidden = block.expand(F.pad(x, (left, right, top, bottom)))
    height, width = hidden.shape[2:]
    # The padding of the expanded input is zero, not what the expansion makes of a zero.
    hidden[:, :, :top], hidden[:, :, height - bottom :] = 0, 0
    hidden[..., :left], hidden[..., width - right :] = 0, 0
    depthwise = block.depthwise
    result: Tensor = block.project(depthwise.act(depthwise.conv(hidden)))
    return result
