"""Trained detector in the form that is exported."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from edgeloop.models.heads import Head

__all__ = ["ExportModel"]


@dataclass(frozen=True, eq=False)
class ExportModel:
    """Trained detector in the form that is exported.

    Attributes:
        module: Network in evaluation mode, batch norms folded, without gradients. It takes float32
            (1, 3, H, W), RGB in [0, 1], and returns the output of `head`, or a tuple of its outputs.
        head: Output format.
        classes: Number of classes.
        stride: Divisor of the input's sides, px.
        max_detections: Maximum number of detections per image.
        iou: IoU threshold of non-maximum suppression within a class, for a head that needs it.
    """

    module: nn.Module
    head: Head
    classes: int
    stride: int
    max_detections: int
    iou: float

    @property
    def has_silu(self) -> bool:
        """True if a layer's activation is SiLU."""
        return any(isinstance(module, nn.SiLU) for module in self.module.modules())
