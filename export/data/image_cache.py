"""Training images, resized once and kept in memory as far as it reaches."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.host.memory import available_memory
from edgeloop.export.data.yolo_dataset import LabeledImage

__all__ = ["ImageCache", "tell_read_again"]

_log = logging.getLogger(__name__)


def tell_read_again(kept: int, count: int, label: str | None) -> None:
    """Say, before a training, how many of its images stay in memory if not all of them do."""
    if kept < count:
        _log.warning(
            "%s: %d of %d images fit in memory; the others are read from disk each time, which takes longer",
            label or "training", kept, count,
        )  # fmt: skip


class ImageCache:
    """Images of a dataset, long side resized to `side` px; those beyond the memory limit are read each time.

    Args:
        images: Images and boxes.
        side: Long side of the resized image, px.
        label: Name of the progress bar; None shows none.
        limit_bytes: Memory for resized images; None for a quarter of what is available.

    Attributes:
        labeled: Images and boxes.

    Raises:
        DataError: A file is not an intact image.
    """

    def __init__(
        self, images: Sequence[LabeledImage], side: int, label: str | None, *, limit_bytes: int | None = None
    ) -> None:
        self.labeled = tuple(images)
        self._side = side
        if limit_bytes is None:
            limit_bytes = available_memory() // 4
        self._kept: dict[int, NDArray[np.uint8]] = {}
        used = 0
        # Every image is read once even if it is not kept: a broken one is named before the first step.
        rows = range(len(self.labeled))
        for index in rows if label is None else progress(rows, label):
            image = self._read(index)
            used += image.nbytes
            if used <= limit_bytes:
                self._kept[index] = image
        tell_read_again(len(self._kept), len(rows), label)

    def __len__(self) -> int:
        return len(self.labeled)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return an image, HxWx3 uint8 BGR; not to be changed."""
        kept = self._kept.get(index)
        return self._read(index) if kept is None else kept

    def labels(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return class numbers int64 (N,) and boxes xyxy float32 (N, 4), shares of width and height.

        A box that reaches beyond the image ends at its edge.
        """
        image = self.labeled[index]
        middle, size = image.xywh[:, :2], image.xywh[:, 2:]
        return image.class_id, np.concatenate((middle - size / 2, middle + size / 2), axis=1).clip(0, 1)

    def _read(self, index: int) -> NDArray[np.uint8]:
        image = self.labeled[index].read()
        height, width = image.shape[:2]
        ratio = self._side / max(height, width)
        if ratio == 1:
            return image
        size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
        # The runtime's letterbox resizes so.
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
