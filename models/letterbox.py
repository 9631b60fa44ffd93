"""Letterbox: fit images into a model's input and map boxes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Letterbox"]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Transform between one size of source image and a model's input.

    The image is scaled to fit and the rest is padded. Pixels equal those of training bit for bit: centered,
    Ultralytics' LetterBox; not centered, YOLOX's preprocessing (image in the top-left corner); stretched, a
    plain resize.

    Attributes:
        source_size: (width, height) of the source image in pixels.
        model_size: (width, height) of the model's input in pixels.
        resized_size: (width, height) of the scaled image inside the model's input.
        offset: (left, top) of the image inside the model's input.
        pad_value: Padding value of all three channels, 0 to 255.
    """

    source_size: tuple[int, int]
    model_size: tuple[int, int]
    resized_size: tuple[int, int]
    offset: tuple[int, int]
    pad_value: int

    @classmethod
    def fit(
        cls,
        source_size: tuple[int, int],
        model_size: tuple[int, int],
        *,
        centered: bool = True,
        stretched: bool = False,
        pad_value: int = 114,
    ) -> Self:
        """Compute the transform for one size of source image.

        Args:
            source_size: (width, height) of the source image in pixels.
            model_size: (width, height) of the model's input in pixels.
            centered: Put the image in the middle (Ultralytics) or in the top-left corner (YOLOX).
            stretched: Scale width and height independently, without padding (FastestDet).
            pad_value: Padding value, 0 to 255.

        Returns:
            The transform.

        Raises:
            ValueError: A side is not positive.
        """
        if min(*source_size, *model_size) < 1:
            raise ValueError(f"Letterbox: sides must be positive, got {source_size} into {model_size}")
        if stretched:
            return cls(source_size, model_size, model_size, (0, 0), pad_value)
        (source_w, source_h), (model_w, model_h) = source_size, model_size
        ratio = min(model_h / source_h, model_w / source_w)
        # Ultralytics rounds the resized sides, YOLOX truncates them; one pixel of difference moves every box.
        to_pixels = round if centered else int
        resized_w, resized_h = max(to_pixels(source_w * ratio), 1), max(to_pixels(source_h * ratio), 1)
        offset = ((model_w - resized_w) // 2, (model_h - resized_h) // 2) if centered else (0, 0)
        return cls(source_size, model_size, (resized_w, resized_h), offset, pad_value)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Letterbox an image.

        Args:
            image: uint8 HxWx3 of `source_size`, any channel order.

        Returns:
            uint8 HxWx3 of `model_size`.

        Raises:
            ValueError: `image` has the wrong size, shape or dtype.
        """
        (model_w, model_h), (left, top), (width, height) = self.model_size, self.offset, self.resized_size
        out = np.full((model_h, model_w, 3), self.pad_value, np.uint8)
        self.resize(image, out[top : top + height, left : left + width])
        return out

    def resize(self, image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        """Scale an image to `resized_size`.

        Args:
            image: uint8 HxWx3 of `source_size`, any channel order.
            out: uint8 HxWx3 of `resized_size` to write into; rows need not be contiguous.

        Raises:
            ValueError: `image` or `out` has the wrong size, shape or dtype.
        """
        (source_w, source_h), (width, height) = self.source_size, self.resized_size
        _check("image", image, (source_h, source_w, 3))
        _check("out", out, (height, width, 3))
        if self.source_size == self.resized_size:
            out[...] = image
        else:
            cv2.resize(image, self.resized_size, dst=out, interpolation=cv2.INTER_LINEAR)

    def to_source(self, boxes_model: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map boxes (N, 4) xyxy of the model's input to the source image, float32 (N, 4), unclipped."""
        scale, shift = self._scale_and_shift()
        return ((boxes_model - shift) / scale).astype(np.float32)

    def to_model(self, boxes_src: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map boxes (N, 4) xyxy from the source image to the model's input, float32 (N, 4)."""
        scale, shift = self._scale_and_shift()
        return (boxes_src * scale + shift).astype(np.float32)

    def _scale_and_shift(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # One scale per side: after rounding to whole pixels, the two differ slightly.
        scale_xy = np.divide(self.resized_size, self.source_size)
        return np.tile(scale_xy, 2), np.tile(np.asarray(self.offset, np.float64), 2)


def _check(name: str, image: NDArray[np.uint8], shape: tuple[int, int, int]) -> None:
    if image.shape != shape or image.dtype != np.uint8:
        raise ValueError(f"Letterbox: expected {name} uint8 {shape}, got {image.dtype} {image.shape}")
