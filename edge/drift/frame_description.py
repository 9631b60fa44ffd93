"""Description of a frame in a few numbers: light, color and shape, whatever is detected in it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.models.bundle.frame_statistics import EDGE_SIZE

__all__ = ["FrameDescription", "describe_frame"]

_SMALL = (128, 96)  # pixels; twice the map of edges
_CELLS = (4, 3)
_ORIENTATIONS = 8
_NOISE = 6.0  # gray levels per pixel: gradient at which a direction counts half, as noise has one, too


@dataclass(frozen=True, slots=True, eq=False)
class FrameDescription:
    """Description of one frame.

    Attributes:
        values: float32 (`DESCRIPTION_LENGTH`,): of each cell of a coarse grid the mean brightness and color,
            and the square root of its share of the picture's gradients by orientation.
        edges: float32 (2, 48, 64): direction of the brightness gradient, shorter than 1 if it is weak.
        brightness: Mean brightness, 0 to 255.
        contrast: Standard deviation of the brightness, gray levels.
        detail: Mean gradient, gray levels per pixel of a picture of 128x96.
    """

    values: NDArray[np.float32]
    edges: NDArray[np.float32]
    brightness: float
    contrast: float
    detail: float


def describe_frame(image: NDArray[np.uint8], gain: float = 1.0) -> FrameDescription:
    """Describe a frame.

    Args:
        image: HxWx3 uint8 BGR.
        gain: Factor of the brightness, as if the exposure had been another one.

    Returns:
        The description. It hardly depends on the resolution.
    """
    # Few pixels are read, and four of them averaged: all of a large frame would take ten times as long.
    sampled = cv2.resize(image, (2 * _SMALL[0], 2 * _SMALL[1]), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(sampled, _SMALL, interpolation=cv2.INTER_AREA)
    if gain != 1:
        small = cv2.convertScaleAbs(small, alpha=gain)
    gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    gx, gy = _gradient(gray)
    magnitude = cv2.magnitude(gx, gy)
    coarse = cv2.resize(gray, EDGE_SIZE, interpolation=cv2.INTER_AREA)
    edges = np.stack(_gradient(coarse))
    edges /= np.sqrt((edges * edges).sum(axis=0)) + _NOISE
    return FrameDescription(
        values=np.concatenate([_colors(small), _orientations(gx, gy, magnitude)]),
        edges=edges,
        brightness=float(gray.mean()),
        contrast=float(gray.std()),
        detail=float(magnitude.mean()),
    )


def _gradient(gray: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Gradient to the right and down, gray levels per pixel."""
    gx = cv2.Sobel(gray, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    gy = cv2.Sobel(gray, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(gx, np.float32), np.asarray(gy, np.float32)


def _colors(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean brightness and two color differences of each cell, as shares of 255."""
    blue, green, red = np.moveaxis(cv2.resize(small, _CELLS, interpolation=cv2.INTER_AREA), 2, 0) / 255.0
    return np.concatenate(
        [((blue + green + red) / 3).ravel(), (red - green).ravel(), (blue - (red + green) / 2).ravel()]
    ).astype(np.float32)


def _orientations(
    gx: NDArray[np.float32], gy: NDArray[np.float32], magnitude: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Square roots of the shares of the gradients, by cell and orientation (0 to 180 degrees)."""
    angle = np.arctan2(gy, gx) * (_ORIENTATIONS / np.pi)
    number = np.floor(angle).astype(np.int64) % _ORIENTATIONS
    height, width = gx.shape
    row = np.arange(height)[:, None] * _CELLS[1] // height
    column = np.arange(width)[None] * _CELLS[0] // width
    place = (row * _CELLS[0] + column) * _ORIENTATIONS + number
    # Weak gradients are noise. In a picture without others the shares are those of nothing, all about zero.
    weights = np.maximum(magnitude - 1.0, 0).ravel()
    sums = np.bincount(place.ravel(), weights, minlength=_CELLS[0] * _CELLS[1] * _ORIENTATIONS)
    return np.asarray(np.sqrt(sums / (sums.sum() + gx.size / 100)), np.float32)
