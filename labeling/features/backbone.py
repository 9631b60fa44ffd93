"""Frozen dense features: EfficientNet-Lite0 as ImageNet left it, made quick on a CPU."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeloop.edge.host.malloc import keep_freed_memory
from edgeloop.edge.runtime.session import Session
from edgeloop.labeling.sam.pyramid import LITE0, PIXEL_MEAN, PIXEL_STD
from edgeloop.models.weights.registry import weights_path

__all__ = ["CHANNELS", "STRIDES", "extract", "prepared", "working_size"]

STRIDES = (4, 8, 16, 32)
CHANNELS = LITE0.tap_channels


def extract(images: Tensor) -> tuple[Tensor, ...]:
    """Features of some images of one size.

    Args:
        images: float32 (B, 3, H, W) as `prepared` makes them; H and W are multiples of 32.

    Returns:
        One tensor (B, C, H / stride, W / stride) for each of `STRIDES`, C from `CHANNELS`, float32.
    """
    return tuple(torch.from_numpy(features) for features in _backbone().run(images.numpy()))


def working_size(image: NDArray[np.uint8], scale: float) -> tuple[int, int]:
    """Size to which an image is resized before it is looked at.

    Args:
        image: HxWx3 uint8.
        scale: Wanted working pixels for a pixel of the image.

    Returns:
        Width and height, multiples of 32.
    """
    height, width = (max(32, round(side * scale / 32) * 32) for side in image.shape[:2])
    return width, height


def prepared(image: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Resize an image and bring its values to what the backbone has learned on.

    Args:
        image: HxWx3 uint8 BGR.
        size: Width and height to resize to, multiples of 32.

    Returns:
        float32 (1, 3, size[1], size[0]) RGB, about [-1, 1].
    """
    height, width = image.shape[:2]
    if (width, height) != size:
        shrinks = size[0] < width
        image = np.asarray(
            cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8
        )
    blob = cv2.dnn.blobFromImage(image, 1 / PIXEL_STD[0], mean=PIXEL_MEAN, swapRB=True)  # one STD for all
    return torch.from_numpy(np.asarray(blob, np.float32))


@functools.cache
def _backbone() -> Session:
    """Through onnxruntime: on a large frame four times quicker than through torch on two cores."""
    keep_freed_memory()  # features of a large frame are large, and so is what is made of them
    return Session(weights_path("lite0"), provider="cpu")
