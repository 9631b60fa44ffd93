"""Images of a dataset for ultralytics' trainer, resized once and kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
from ultralytics.data import YOLODataset

from edgeloop.edge.cli.progress import progress
from edgeloop.export.data.yolo_dataset import LabeledImage

__all__ = ["CachedImages"]


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
        """Read and resize all images."""
        for index, image in enumerate(progress(self._images, f"Reading {self.prefix}")):
            pixels = image.read()
            height, width = pixels.shape[:2]
            ratio = self.imgsz / max(height, width)
            size = (min(round(width * ratio), self.imgsz), min(round(height * ratio), self.imgsz))
            if size != (width, height):
                pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
            self.ims[index] = pixels
            self.im_hw0[index], self.im_hw[index] = (height, width), pixels.shape[:2]
