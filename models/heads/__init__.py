"""From the raw output of a detector's last layer to Detections in the frame of the model's input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.boxes import nms
from edgeloop.models.detections import Detections
from edgeloop.models.heads import classic, end2end, fastestdet, nanodet, yolox
from edgeloop.models.heads.yolox import cell_count

__all__ = ["HEADS", "Head", "cell_count", "decode"]

Head = Literal["end2end", "classic", "yolox", "nanodet", "fastestdet"]
HEADS: tuple[Head, ...] = get_args(Head)


def decode(
    head: Head,
    outputs: Sequence[NDArray[np.floating]],
    *,
    input_size: tuple[int, int],
    confidence: float,
    iou: float,
    max_detections: int = 300,
) -> Detections:
    """Read one image's detections out of a model's outputs.

    Args:
        head: how the last layer writes them: "end2end" (1, K, 6) needs no NMS, "classic" (1, 4 + classes, N),
            "yolox" (1, N, 5 + classes), "fastestdet" (1, 5 + classes, H / 16, W / 16) and "nanodet", with six
            outputs, do.
        outputs: what the session returned.
        input_size: (width, height) of the model's input in pixels.
        confidence: rows must exceed this.
        iou: overlap above which the less confident of two boxes of a class goes; not used by end2end heads.
        max_detections: keep at most this many, the most confident ones.

    Returns:
        Detections whose boxes are in pixels of the model's input, not clipped, most confident first.

    Raises:
        ModelError: the output has another shape than the head writes.
    """
    if head == "nanodet":
        found = nanodet.decode(outputs, input_size=input_size, confidence=confidence)
    else:
        (output,) = outputs
        match head:
            case "end2end":
                return end2end.decode(output, confidence=confidence, max_detections=max_detections)
            case "classic":
                found = classic.decode(output, confidence=confidence)
            case "yolox":
                found = yolox.decode(output, input_size=input_size, confidence=confidence)
            case "fastestdet":
                found = fastestdet.decode(output, input_size=input_size, confidence=confidence)
    if not len(found):
        return found
    return found[nms(found.xyxy, found.confidence, found.class_id, iou, limit=max_detections)]
