"""Any iterable of images as a source; every one counts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame, Source

__all__ = ["ImageIterable"]


class ImageIterable(Source):
    """Images from Python code, in their order; `Frame.index` is the position in that order."""

    live = False
    fps = length = None
    dropped = skipped = 0

    def __init__(self, images: Iterable[NDArray[np.uint8] | Frame], name: str = "images") -> None:
        """Remember the images; each is asked for when its turn comes.

        Args:
            images: Images (HxWx3 uint8, BGR) or frames.
            name: Name of the source in results.
        """
        self.name = name
        self._images = images
        self._stopped = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield the images as frames."""
        for index, image in enumerate(self._images):
            if self._stopped:
                return
            if isinstance(image, Frame):
                yield image
            else:
                yield Frame(image, index, time.monotonic(), time.time(), self.name)

    def stop(self) -> None:
        """End the iteration after the frame in hand."""
        self._stopped = True

    def close(self) -> None:
        """Stop."""
        self.stop()
