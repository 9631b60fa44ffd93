"""Preprocessing of images into input tensors, in buffers that are allocated once."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.models.letterbox import Letterbox
from edgeloop.models.spec import ModelSpec

__all__ = ["InputBuffer"]


class InputBuffer:
    """Reusable input tensor of a model.

    Letterbox and padding are set up only if the size of the images changes.

    Attributes:
        tensor: (1, 3, H, W) or (1, H, W, 3) in the dtype of the model's input.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Allocate the tensor.

        Args:
            spec: Settings of the model.
        """
        width, height = spec.input_size
        planar = spec.layout == "NCHW"
        shape = (1, 3, height, width) if planar else (1, height, width, 3)
        self.tensor: NDArray[np.generic] = np.zeros(shape, spec.dtype)
        self._spec = spec
        # (pixel / scale - mean) / std as one subtraction and one division by channel. Dividing by the same
        # float32 as in training, instead of multiplying by its inverse, keeps values equal to the last bit.
        channels = (3, 1, 1) if planar else (3,)
        self._divisors = (np.float32(spec.scale) * np.asarray(spec.std, np.float32)).reshape(channels)
        self._means = (np.float32(spec.scale) * np.asarray(spec.mean, np.float32)).reshape(channels)
        self._subtracts_mean = bool(self._means.any())
        self._letterbox: Letterbox | None = None

    def fill(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.generic], Letterbox]:
        """Write an image into the tensor: letterbox, color, layout, normalization.

        Args:
            image: uint8 HxWx3 BGR.

        Returns:
            `tensor`, and the letterbox of the image.
        """
        height, width = image.shape[:2]
        letterbox = self._letterbox
        if letterbox is None or letterbox.source_size != (width, height):
            letterbox = self._letterbox = self._allocate((width, height))
        letterbox.resize(image, self._resized)
        if self._planes:
            cv2.split(self._resized, self._planes)
        elif self._spec.color == "RGB":
            cv2.cvtColor(self._resized, cv2.COLOR_BGR2RGB, dst=self._resized)
        if self._inside is not None:
            self._normalize(self._pixels, self._inside)
        return self.tensor, letterbox

    def _allocate(self, source_size: tuple[int, int]) -> Letterbox:
        """Write the padding for images of one size, and allocate their buffers."""
        spec = self._spec
        letterbox = Letterbox.fit(
            source_size,
            spec.input_size,
            centered=spec.centered,
            stretched=spec.stretched,
            pad_value=spec.pad_value,
        )
        (left, top), (width, height) = letterbox.offset, letterbox.resized_size
        rows, columns = slice(top, top + height), slice(left, left + width)
        planar = spec.layout == "NCHW"
        inside = self.tensor[0, :, rows, columns] if planar else self.tensor[0, rows, columns]
        fill = np.full(self._means.shape, spec.pad_value, np.uint8)
        # Bytes that go in unscaled need no second copy: the image is written into the tensor itself.
        as_is = spec.dtype == "uint8"
        if as_is:
            self.tensor[:] = fill
        else:
            self._normalize(fill, self.tensor[0])
        self._inside = None if as_is else inside
        pixels = self._pixels = inside.view(np.uint8) if as_is else np.empty(inside.shape, np.uint8)
        # Splitting the bytes first makes the division contiguous.
        self._resized = np.empty((height, width, 3), np.uint8) if planar else pixels
        self._planes: Sequence[NDArray[np.uint8]] = []
        if planar:
            self._planes = list(pixels[::-1] if spec.color == "RGB" else pixels)
        return letterbox

    def _normalize(self, pixels: NDArray[np.generic], out: NDArray[np.generic]) -> None:
        if self._subtracts_mean:
            np.subtract(pixels, self._means, out=out, casting="same_kind")
            pixels = out
        np.divide(pixels, self._divisors, out=out, casting="same_kind")
