"""From an image to the tensor that a model takes, in buffers that are allocated once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.models.letterbox import Letterbox
from edgeloop.models.spec import ModelSpec

__all__ = ["InputBuffer"]


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Where each step writes an image of one size.

    Attributes:
        letterbox: of that size.
        resized: uint8 HxWx3 BGR.
        planes: `pixels` by channel, in the order of `resized`; none where the model takes them interleaved.
        pixels: uint8, in the layout and colour of the model.
        inside: the part of the tensor that is not fill; None where `pixels` is that part itself.
    """

    letterbox: Letterbox
    resized: NDArray[np.uint8]
    planes: Sequence[NDArray[np.uint8]]
    pixels: NDArray[np.uint8]
    inside: NDArray[np.generic] | None


class InputBuffer:
    """Memory for one input tensor of a model.

    Images of one source are of one size, so the letterbox is worked out and its fill written when the size
    changes, and each image costs what its own pixels cost.

    Attributes:
        tensor: (1, 3, H, W) or (1, H, W, 3) in the dtype of the model's input.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Allocate the memory.

        Args:
            spec: the model.
        """
        width, height = spec.input_size
        planar = spec.layout == "NCHW"
        shape = (1, 3, height, width) if planar else (1, height, width, 3)
        self.tensor: NDArray[np.generic] = np.zeros(shape, spec.dtype)
        self._spec = spec
        # (pixel / scale - mean) / std in one subtraction and one division, by channel. Dividing by the same
        # float32 as training did, and not multiplying by its inverse, keeps values equal to the last bit.
        channels = (3, 1, 1) if planar else (3,)
        self._divisors = (np.float32(spec.scale) * np.asarray(spec.std, np.float32)).reshape(channels)
        self._means = (np.float32(spec.scale) * np.asarray(spec.mean, np.float32)).reshape(channels)
        self._centres = bool(self._means.any())
        self._places: _Places | None = None

    def fill(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.generic], Letterbox]:
        """Write an image into the tensor, letterboxed, in the colour, layout and scale that the model takes.

        Args:
            image: uint8 HxWx3 BGR.

        Returns:
            `tensor`, and the way back to the image.
        """
        height, width = image.shape[:2]
        places = self._places
        if places is None or places.letterbox.source_size != (width, height):
            places = self._places = self._lay_out((width, height))
        places.letterbox.resize(image, places.resized)
        if places.planes:
            cv2.split(places.resized, places.planes)
        elif self._spec.color == "RGB":
            cv2.cvtColor(places.resized, cv2.COLOR_BGR2RGB, dst=places.resized)
        if places.inside is not None:
            self._normalise(places.pixels, places.inside)
        return self.tensor, places.letterbox

    def _lay_out(self, source_size: tuple[int, int]) -> _Places:
        """Write the fill around images of one size, and find the places of their pixels."""
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
        # Bytes that go in as they are need no second copy: the image is drawn into the tensor itself.
        as_is = spec.dtype == "uint8"
        if as_is:
            self.tensor[:] = fill
        else:
            self._normalise(fill, self.tensor[0])
        pixels = inside.view(np.uint8) if as_is else np.empty(inside.shape, np.uint8)
        # Splitting the bytes first lets the division run along memory.
        resized = np.empty((height, width, 3), np.uint8) if planar else pixels
        planes = list(pixels[::-1] if spec.color == "RGB" else pixels) if planar else []
        return _Places(letterbox, resized, planes, pixels, None if as_is else inside)

    def _normalise(self, pixels: NDArray[np.generic], out: NDArray[np.generic]) -> None:
        if self._centres:
            np.subtract(pixels, self._means, out=out, casting="same_kind")
            pixels = out
        np.divide(pixels, self._divisors, out=out, casting="same_kind")
