"""Any iterable of images as a source."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame
from edgeloop.edge.sources.footage import Footage

__all__ = ["ImageIterable"]


class ImageIterable(Footage):
    """Images from Python code, in their order; `Frame.index` is the position in that order."""

    def __init__(self, images: Iterable[NDArray[np.uint8] | Frame], name: str = "images") -> None:
        """Remember the images; each is asked for when its turn comes.

        Args:
            images: Images (HxWx3 uint8, BGR) or frames.
            name: Name of the source in results.
        """
        self.name = name
        self._images = images

    def __iter__(self) -> Iterator[Frame]:
        images = iter(self._images)
        try:
            for index, image in enumerate(images):
                if self._stopped:
                    return
                if isinstance(image, Frame):
                    yield image
                else:
                    time_s = index / self.fps if self.fps else None
                    yield Frame(image, index, time.monotonic(), time.time(), self.name, time_s)
        finally:
            if close := getattr(images, "close", None):  # here: a generator can be closed only by its reader
                close()
