"""From an image to the tensor that a model takes, in buffers that are allocated once."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.letterbox import Letterbox
from models.spec import ModelSpec

__all__ = ["InputBuffer"]


class InputBuffer:
    """Memory for one input tensor of a model.

    Attributes:
        tensor: (1, 3, H, W) or (1, H, W, 3) in the dtype of the model's input.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Allocate the memory.

        Args:
            spec: the model.
        """
        width, height = spec.input_size
        shape = (1, 3, height, width) if spec.layout == "NCHW" else (1, height, width, 3)
        self.tensor: NDArray[np.generic] = np.zeros(shape, spec.dtype)
        self._spec = spec
        # (pixel / scale - mean) / std in one subtraction and one division, by channel.
        self._divisors = np.float32(spec.scale) * np.asarray(spec.std, np.float32)
        self._means = np.float32(spec.scale) * np.asarray(spec.mean, np.float32)
        # Bytes that go in as they are need no second copy: the image is drawn into the tensor itself.
        as_is = self.tensor.dtype == np.uint8
        nhwc = spec.layout == "NHWC"
        self._canvas = self.tensor[0] if as_is and nhwc else np.empty((height, width, 3), np.uint8)
        self._planes = list(self.tensor[0] if as_is and not nhwc else np.empty((3, height, width), np.uint8))

    def fill(self, image: NDArray[np.uint8], letterbox: Letterbox) -> NDArray[np.generic]:
        """Write an image into the tensor, letterboxed, in the colour, layout and scale that the model takes.

        Args:
            image: uint8 HxWx3 BGR of the letterbox's source size.
            letterbox: into the model's input size.

        Returns:
            `tensor`.
        """
        letterbox.apply(image, self._canvas)
        if self._spec.layout == "NHWC":
            self._fill_pixels()
        else:
            self._fill_planes()
        return self.tensor

    def _fill_pixels(self) -> None:
        if self._spec.color == "RGB":
            cv2.cvtColor(self._canvas, cv2.COLOR_BGR2RGB, dst=self._canvas)
        if self.tensor.dtype != np.uint8:
            _normalise(self._canvas, self._means, self._divisors, self.tensor[0])

    def _fill_planes(self) -> None:
        # Splitting the bytes first lets the division run along memory; dividing by the same float32 as
        # training did, and not multiplying by its inverse, keeps every value equal to the last bit.
        planes = self._planes[::-1] if self._spec.color == "RGB" else self._planes
        cv2.split(self._canvas, planes)
        if self.tensor.dtype != np.uint8:
            for plane, mean, divisor, target in zip(
                self._planes, self._means, self._divisors, self.tensor[0], strict=True
            ):
                _normalise(plane, mean, divisor, target)


def _normalise(
    pixels: NDArray[np.uint8],
    mean: NDArray[np.float32] | np.float32,
    divisor: NDArray[np.float32] | np.float32,
    out: NDArray[np.generic],
) -> None:
    if not np.any(mean):
        np.divide(pixels, divisor, out=out, casting="same_kind")
        return
    np.subtract(pixels, mean, out=out, casting="same_kind")
    np.divide(out, divisor, out=out, casting="same_kind")
