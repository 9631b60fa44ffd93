"""Views of a frame for the segmenter: the whole frame, or a crop around a small object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.sam import InteractiveSegmenter
from edgeloop.labeling.studio.segmenting.encoded_frames import EncodedFrame

__all__ = ["View", "view_of"]

_MODEL_PX = 512  # long side of a frame for the sizes below
# Mean IoU of boxes by nano from a drag that is off by 2 px or 6 %: of objects under 20 px 0.51 in the frame
# and 0.62 in a crop; 20 to 40 px 0.74 and 0.76; 40 to 60 px 0.76 and 0.75 (17 data sets).
_SMALL_PX = 40
_CONTEXT = 2.0  # side of the crop, in sides of the box
_MIN_ASPECT = 0.6  # of the crop


@dataclass(frozen=True, slots=True)
class View:
    """Part of a frame that is encoded.

    Attributes:
        segmenter: Answers prompts in pixels of the part.
        corner: (2,) XY of its upper left corner, in pixels of the frame.
        pixel: Pixels of the frame in one of the model's image.
    """

    segmenter: InteractiveSegmenter
    corner: NDArray[np.float32]
    pixel: float


def view_of(frame: EncodedFrame, xyxy: NDArray[np.floating]) -> View:
    """View in which an object is best seen.

    Args:
        frame: The frame.
        xyxy: (4,) box that is about as large as the object.
    """
    size = np.array(frame.size)
    sides = xyxy[2:] - xyxy[:2]
    crop_side_px = frame.segmenter.crop_side_px
    if crop_side_px is None or sides.max() * _MODEL_PX / size.max() >= _SMALL_PX:
        return View(frame.segmenter, np.zeros(2, dtype=np.float32), float(size.max()) / _MODEL_PX)
    half = np.maximum(sides, _MIN_ASPECT * sides.max()) * _CONTEXT / 2
    middle = (xyxy[:2] + xyxy[2:]) / 2
    x1, y1 = np.clip(np.floor(middle - half), 0, size - 1).astype(int)
    x2, y2 = np.clip(np.ceil(middle + half), (x1 + 1, y1 + 1), size).astype(int)
    crop = np.ascontiguousarray(frame.image[y1:y2, x1:x2])
    segmenter = frame.segmenter.with_image(crop, long_side_px=crop_side_px)
    return View(segmenter, np.array([x1, y1], dtype=np.float32), max(crop.shape[:2]) / crop_side_px)
