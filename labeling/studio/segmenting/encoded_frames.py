"""Cache of encoded frames: a frame that was seen answers without running the image encoder."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.sam import InteractiveSegmenter

__all__ = ["EncodedFrame", "EncodedFrames"]

_KEPT = 8  # frames; nano takes 2 to 3 MB for each, and the image
_KEPT_BYTES = 64 << 20  # of images; the latest two are kept whatever their size
_WANTED = 3  # latest frames that were asked for ahead; earlier ones are skipped


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame that was encoded.

    Attributes:
        segmenter: Answers prompts on it.
        image: The frame, HxWx3 uint8 BGR.
    """

    segmenter: InteractiveSegmenter
    image: NDArray[np.uint8]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        height, width = self.image.shape[:2]
        return width, height


class EncodedFrames:
    """Thread-safe cache of the latest frames. One is encoded at a time, and a waiting person comes first."""

    def __init__(
        self, load: Callable[[], InteractiveSegmenter], image: Callable[[int], NDArray[np.uint8]]
    ) -> None:
        """Start empty; the model is loaded with the first frame.

        Args:
            load: Loads the segmenter.
            image: Decodes a frame by its number, HxWx3 uint8 BGR.
        """
        self._load, self._image = load, image
        self._model: InteractiveSegmenter | None = None
        self._frames: OrderedDict[int, EncodedFrame] = OrderedDict()
        self._changed = threading.Condition()
        self._encoding = False
        self._urgent = 0  # callers of `get` that wait
        self._wanted: deque[int] = deque(maxlen=_WANTED)

    def get(self, number: int) -> EncodedFrame:
        """Encoded frame; at most one other encoding is awaited.

        Raises:
            EdgeloopError: The frame or the model cannot be read.
        """
        with self._changed:
            self._urgent += 1
            try:
                self._changed.wait_for(lambda: number in self._frames or not self._encoding)
            finally:
                self._urgent -= 1
            if number in self._frames:
                self._frames.move_to_end(number)
                self._changed.notify_all()
                return self._frames[number]
            self._encoding = True
        return self._encode(number)

    def prefetch(self, number: int) -> bool:
        """Encode a frame ahead, after everybody who waits in `get`.

        Returns:
            True if it is encoded; False if frames that were asked for later took its place.

        Raises:
            EdgeloopError: The frame or the model cannot be read.
        """
        with self._changed:
            if number not in self._wanted:
                self._wanted.append(number)
            self._changed.notify_all()  # the one that was pushed out gives up
            self._changed.wait_for(
                lambda: (
                    number in self._frames
                    or number not in self._wanted
                    or not (self._encoding or self._urgent)
                )
            )
            if number in self._frames or number not in self._wanted:
                return number in self._frames
            self._encoding = True
        self._encode(number)
        return True

    def _encode(self, number: int) -> EncodedFrame:
        """Encode a frame, by the one thread that set `_encoding`."""
        encoded = None
        try:
            image = self._image(number)
            if self._model is None:
                self._model = self._load()
            encoded = EncodedFrame(self._model.with_image(image), image)
            return encoded
        finally:
            with self._changed:
                self._encoding = False
                if encoded is not None:
                    self._frames[number] = encoded
                    while self._is_full():
                        self._frames.popitem(last=False)
                self._changed.notify_all()

    def _is_full(self) -> bool:
        size = sum(frame.image.nbytes for frame in self._frames.values())
        return len(self._frames) > _KEPT or (len(self._frames) > 2 and size > _KEPT_BYTES)
