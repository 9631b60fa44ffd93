"""Frozen dense features of EfficientNet-Lite0, trained on ImageNet."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeloop.edge.engines.session import Session
from edgeloop.edge.host.hardware import physical_cores
from edgeloop.edge.host.malloc import keep_freed_memory
from edgeloop.models.weights.registry import weights_path

__all__ = ["CHANNELS", "STRIDES", "extract_features", "open_backbone", "preprocess", "working_size"]

STRIDES = (4, 8, 16, 32)
CHANNELS = (24, 40, 112, 320)
_PIXEL_MEAN, _PIXEL_STD = 127.0, 128.0  # as in TensorFlow's EfficientNet-Lite, for all channels


def extract_features(images: Tensor, backbone: Session | None = None) -> tuple[Tensor, ...]:
    """Extract features from images of one size.

    Args:
        images: float32 (B, 3, H, W) from `preprocess`; H and W are multiples of 32.
        backbone: As of `open_backbone`; None for one on all cores.

    Returns:
        One tensor (B, C, H / stride, W / stride) for each of `STRIDES`, C from `CHANNELS`, float32.
    """
    return tuple(torch.from_numpy(features) for features in (backbone or open_backbone()).run(images.numpy()))


def working_size(image: NDArray[np.uint8], scale: float) -> tuple[int, int]:
    """Compute the width and height to resize an image to, multiples of 32.

    `scale` is the desired number of working pixels per pixel of the image.
    """
    height, width = (max(32, round(side * scale / 32) * 32) for side in image.shape[:2])
    return width, height


def preprocess(image: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Resize an image, HxWx3 uint8 BGR, to a width and height (multiples of 32), and normalize it.

    Returns:
        float32 (1, 3, size[1], size[0]) RGB, about [-1, 1].
    """
    height, width = image.shape[:2]
    if (width, height) != size:
        shrinks = size[0] < width
        image = np.asarray(
            cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8
        )
    blob = cv2.dnn.blobFromImage(image, 1 / _PIXEL_STD, mean=(_PIXEL_MEAN,) * 3, swapRB=True)
    return torch.from_numpy(np.asarray(blob, np.float32))


def open_backbone() -> Session:
    """Open the ONNX model, on as many cores as `limited_cores` leaves: once for each number of them."""
    return _opened(physical_cores())


@functools.cache
def _opened(cores: int) -> Session:
    """Open the ONNX model: on a large frame four times faster than torch on two cores."""
    keep_freed_memory()  # features of a large frame are large, and so is what is made of them
    return Session(weights_path("lite0"), provider="cpu", threads=cores)
