"""Masks to learn: outlines drawn at the resolution of the prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeloop.export.network.mask_branch import PROTOTYPE_STRIDE

__all__ = ["FULL", "MaskTargets", "draw_outlines", "fill_outline"]

#: Value of a pixel of a mask that is all of the object.
FULL = PROTOTYPE_STRIDE**2


class MaskTargets(NamedTuple):
    """Masks of the objects of a batch, G in all, each in a window of its own.

    Attributes:
        windows: Left, top, right, bottom in pixels of the prototypes, int64 (G, 4).
        covered: Share of each pixel that the object covers, in units of 1 / FULL, uint8; row by row, window
            after window.
    """

    windows: Tensor
    covered: Tensor

    def to(self, device: torch.device) -> MaskTargets:
        """Copy to a device."""
        return MaskTargets(self.windows.to(device), self.covered.to(device))


def draw_outlines(
    outlines: Sequence[NDArray[np.float32]], xyxy: NDArray[np.float32], size: tuple[int, int]
) -> MaskTargets:
    """Draw objects, each in a window one pixel wider than its box on all sides.

    Args:
        outlines: Polygon of each object, float32 (P, 2) x, y in px of the image; what is outside of its box
            is left out.
        xyxy: Boxes in px of the image, float32 (N, 4), within the image.
        size: Width and height of the image, px, multiples of the prototypes' stride.
    """
    stride = PROTOTYPE_STRIDE
    low = np.floor(xyxy[:, :2] / stride).astype(np.int64) - 1
    high = np.ceil(xyxy[:, 2:] / stride).astype(np.int64) + 1
    windows = np.concatenate((low.clip(0), np.minimum(high, np.array(size) // stride)), axis=1)
    drawn = [np.zeros(0, np.uint8)]
    for outline, box, (left, top, right, bottom) in zip(outlines, xyxy, windows.tolist(), strict=True):
        pixels = np.zeros(((bottom - top) * stride, (right - left) * stride), np.uint8)
        x1, y1, x2, y2 = np.round(box).astype(int).tolist()
        x, y = x1 - left * stride, y1 - top * stride
        pixels[y : y + y2 - y1, x : x + x2 - x1] = fill_outline(outline, (x1, y1, x2, y2))
        cells = pixels.reshape(bottom - top, stride, right - left, stride).sum(axis=(1, 3), dtype=np.uint8)
        drawn.append(cells.ravel())
    return MaskTargets(torch.from_numpy(windows), torch.from_numpy(np.concatenate(drawn)))


def fill_outline(outline: NDArray[np.float32], box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Fill a polygon by the even-odd rule: pixels whose middle is inside.

    `cv2.fillPoly` draws the border as well, which makes an object of 16 px 15 % too large.

    Args:
        outline: float32 (P, 2) x, y in px of the image, edges at whole numbers.
        box: Left, top, right, bottom of the part to draw, px.

    Returns:
        1 inside and 0 outside, uint8 (bottom - top, right - left).
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    start = outline.astype(np.float64) - (left, top)
    end = np.roll(start, -1, axis=0)
    downward = (start[:, 1] <= end[:, 1])[:, None]
    upper, lower = np.where(downward, start, end), np.where(downward, end, start)
    # Rows whose middle line an edge crosses.
    first, last = (np.ceil(each[:, 1] - 0.5).clip(0, height).astype(np.int64) for each in (upper, lower))
    counts = last - first
    edge = np.repeat(np.arange(len(start)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    slope = (lower[edge, 0] - upper[edge, 0]) / (lower[edge, 1] - upper[edge, 1])
    x = upper[edge, 0] + (row + 0.5 - upper[edge, 1]) * slope
    column = np.ceil(x - 0.5).clip(0, width).astype(np.int64)
    crossings = np.bincount(row * (width + 1) + column, minlength=height * (width + 1))
    inside = np.bitwise_xor.accumulate(crossings.reshape(height, width + 1) & 1, axis=1)
    return inside[:, :width].astype(np.uint8)
