"""Processor to train on."""

from __future__ import annotations

import torch

from edgeloop.export.train_options import Device
from edgeloop.models.errors import UnavailableError

__all__ = ["choose_device", "has_bfloat16"]


def choose_device(wanted: Device) -> torch.device:
    """Choose the processor that an option names.

    Raises:
        UnavailableError: CUDA was asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("--device cuda: torch finds no CUDA device; use --device cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def has_bfloat16(device: torch.device) -> bool:
    """True if the processor has instructions for bfloat16; without them it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
