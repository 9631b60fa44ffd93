"""Statistics of the frames of a dataset, by which a device says what is unlike them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.drift.learn_statistics import learn_statistics
from edgeloop.export.data.yolo_dataset import Dataset, LabeledImage
from edgeloop.models.bundle.frame_statistics import FrameStatistics

__all__ = ["describe_dataset"]

_MOST = 200
"""Images that are read of each part, spread evenly: more hardly change the figures."""


def describe_dataset(data: Dataset) -> FrameStatistics | None:
    """Compute the statistics of a dataset's training images, with a limit by its held-out ones.

    Args:
        data: The dataset.

    Returns:
        The statistics; None if it has too few images.

    Raises:
        DataError: An image cannot be read.
    """
    return learn_statistics(_images(data.train), _images(data.val))


def _images(part: Sequence[LabeledImage]) -> Iterator[NDArray[np.uint8]]:
    rows = np.linspace(0, len(part) - 1, min(_MOST, len(part))).round().astype(int)
    return (part[row].read() for row in rows)
