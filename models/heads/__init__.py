"""Decoding of detection heads: raw outputs to Detections in pixels of the model's input.

`decode` of each head takes the outputs of a model for one image, its `input_size` (width, height) in pixels,
and the minimum score `confidence`, exclusive. It returns unordered Detections before NMS, and raises
ModelError if an output has the wrong shape.
"""

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
    """Decode the outputs of a model for one image.

    Args:
        head: Output format: "end2end" (1, K, 6), without NMS; with NMS "classic" (1, 4 + classes, N), "yolox"
            (1, N, 5 + classes), "fastestdet" (1, 5 + classes, H / 16, W / 16) and "nanodet" (six outputs).
        outputs: Outputs of the session.
        input_size: (width, height) of the model's input in pixels.
        confidence: Minimum score, exclusive.
        iou: IoU threshold of non-maximum suppression; not used by end2end heads.
        max_detections: Maximum number of detections, the most confident ones.

    Returns:
        Detections in pixels of the model's input, not clipped, most confident first.

    Raises:
        ModelError: The output has the wrong shape for this head.
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
