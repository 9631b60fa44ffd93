"""Images of a dataset for ultralytics' trainer, resized once and kept in memory as far as it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ultralytics.data import YOLODataset

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.host.memory import available_memory
from edgeloop.export.data.image_cache import tell_read_again
from edgeloop.export.data.yolo_dataset import LabeledImage

__all__ = ["CachedImages"]

Loaded = tuple[NDArray[np.uint8], tuple[int, int], tuple[int, int]]


class CachedImages(YOLODataset):  # type: ignore[misc]  # ultralytics is untyped
    """YOLODataset over labels that were read already.

    Ultralytics' own reader is bypassed: it writes caches into the user's dataset and reads them back, as
    pickles, even after the labels changed.
    """

    def __init__(self, images: Sequence[LabeledImage], **options: Any) -> None:
        self._images = images
        super().__init__(img_path="", cache="ram", **options)

    def get_img_files(self, img_path: str) -> list[str]:  # noqa: ARG002 (ultralytics' signature)
        """List the image files."""
        return [str(image.path) for image in self._images]

    def get_labels(self) -> list[dict[str, Any]]:
        """List the labels in ultralytics' format."""
        return [
            {
                "im_file": str(image.path),
                "cls": image.class_id.reshape(-1, 1).astype("float32"),
                "bboxes": image.xywh.copy(),
                "segments": [],
                "keypoints": None,
                "normalized": True,
                "bbox_format": "xywh",
            }
            for image in self._images
        ]

    def check_cache_ram(self, safety_margin: float = 1.0) -> bool:  # noqa: ARG002 (ultralytics' signature)
        """Always cache: `cache_images` is what reads the images."""
        return True

    def cache_images(self) -> None:
        """Read and resize all images; each is read once even if it is not kept, so a broken one is named."""
        limit_bytes, used, kept = available_memory() // 4, 0, 0
        label = f"Reading {self.prefix}"
        for index in progress(range(len(self._images)), label):
            pixels, whole, size = self._read(index)
            used += pixels.nbytes
            if used <= limit_bytes:
                self.ims[index], self.im_hw0[index], self.im_hw[index] = pixels, whole, size
                kept += 1
        tell_read_again(kept, len(self._images), label)

    def load_image(self, i: int, rect_mode: bool = True, resize_short: bool = False) -> Loaded:
        """Return an image, its height and width in the file, and those of the image."""
        if self.ims[i] is None:
            return self._read(i)
        loaded: Loaded = super().load_image(i, rect_mode, resize_short)
        return loaded

    def _read(self, index: int) -> Loaded:
        pixels = self._images[index].read()
        height, width = pixels.shape[:2]
        ratio = self.imgsz / max(height, width)
        size = (min(round(width * ratio), self.imgsz), min(round(height * ratio), self.imgsz))
        if size != (width, height):
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        return pixels, (height, width), (size[1], size[0])
