"""Second look at an image: the same detector, at another scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.runtime.frame_detector import FrameDetector
from edgeloop.models.boxes import clip_boxes
from edgeloop.models.detections import Detections

__all__ = ["SecondLook", "shrunk_look", "stream_look"]

SecondLook = Callable[[NDArray[np.uint8]], Detections]
"""Detector of an HxWx3 uint8 BGR image, with boxes in its pixels."""

_SCALE = 0.77
"""Scale of the second look: objects end up between the strides of a detector, which double."""

_PADDING = (114, 114, 114)
"""Color of the padding, that of letterboxes."""


def shrunk_look(detect: SecondLook) -> SecondLook:
    """Make the second look of a detector: at the image shrunk to 77 %, padded to its size.

    Takes as long as another detection, in the thread of the caller.

    Args:
        detect: The detector, such as `Detector.detect`.

    Returns:
        A function of an image that returns Detections in pixels of it.
    """

    def look(image: NDArray[np.uint8]) -> Detections:
        height, width = image.shape[:2]
        inner_w, inner_h = max(round(width * _SCALE), 1), max(round(height * _SCALE), 1)
        left, top = (width - inner_w) // 2, (height - inner_h) // 2
        canvas = np.full_like(image, _PADDING)
        inner = canvas[top : top + inner_h, left : left + inner_w]
        inner[...] = cv2.resize(image, (inner_w, inner_h), interpolation=cv2.INTER_AREA)
        found = detect(canvas)
        scale = np.tile(np.array([inner_w / width, inner_h / height], np.float32), 2)
        boxes = (found.xyxy - np.array([left, top, left, top], np.float32)) / scale
        boxes = clip_boxes(boxes, width, height)
        within = np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1), np.bool_)
        # Masks would be in the pixels of the shrunk image, and boxes are enough to judge by.
        return replace(found, xyxy=boxes, masks=None)[within]

    return look


def stream_look(stream: Stream, detector: FrameDetector) -> SecondLook:
    """Make the second look of a stream, which finds nothing that does not count in the stream.

    Args:
        stream: Stream whose ignore mask and selection apply.
        detector: Its detector.

    Returns:
        As of `shrunk_look`.
    """
    look = shrunk_look(lambda image: detector.detect_timed(image)[0])
    return lambda image: stream.keep(look(image), (image.shape[1], image.shape[0]))
