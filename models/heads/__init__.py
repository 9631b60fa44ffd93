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
from edgeloop.models.errors import AbsurdOutputError
from edgeloop.models.heads import classic, detr, end2end, fastestdet, nanodet, raw, segment, yolov5, yolox
from edgeloop.models.heads.yolox import cell_count

__all__ = ["HEADS", "Head", "cell_count", "decode", "decode_rows"]

Head = Literal["end2end", "classic", "yolov5", "yolox", "nanodet", "fastestdet", "detr", "raw", "segment"]
HEADS: tuple[Head, ...] = get_args(Head)


def decode(
    head: Head,
    outputs: Sequence[NDArray[np.floating]],
    *,
    input_size: tuple[int, int],
    confidence: float,
    iou: float,
    max_detections: int = 300,
    class_confidence: NDArray[np.float32] | None = None,
    output_names: Sequence[str] = (),
) -> Detections:
    """Decode the outputs of a model for one image.

    Args:
        head: Output format: "end2end" (1, K, 6) and "detr" (labels, boxes and scores, or boxes and logits),
            without NMS; with NMS "classic" (1, 4 + classes, N), "yolov5" (1, N, 5 + classes), "yolox" of the
            same shape but not decoded, "fastestdet" (1, 5 + classes, H / 16, W / 16), "nanodet" (six) and
            "raw", the last convolutions of each stride, and "segment" (1, 4 + classes + K, N) with prototypes
            (1, K, H / 4, W / 4).
        outputs: Outputs of the session.
        input_size: (width, height) of the model's input in pixels.
        confidence: Minimum score, exclusive.
        iou: IoU threshold of non-maximum suppression; not used by end2end and detr heads.
        max_detections: Maximum number of detections, the most confident ones.
        class_confidence: (classes,) minimum score of each class, exclusive, at least `confidence`; None for
            `confidence`.
        output_names: Names of the outputs, which a detr head may need to tell them apart.

    Returns:
        Detections in pixels of the model's input, not clipped, most confident first.

    Raises:
        ModelError: The output has the wrong shape for this head, or a class that `class_confidence` lacks.
    """
    return decode_rows(
        head,
        outputs,
        input_size=input_size,
        confidence=confidence,
        iou=iou,
        max_detections=max_detections,
        class_confidence=class_confidence,
        output_names=output_names,
    )[0]


def decode_rows(
    head: Head,
    outputs: Sequence[NDArray[np.floating]],
    *,
    input_size: tuple[int, int],
    confidence: float,
    iou: float,
    max_detections: int = 300,
    class_confidence: NDArray[np.float32] | None = None,
    output_names: Sequence[str] = (),
) -> tuple[Detections, NDArray[np.int64]]:
    """Decode the outputs of a model for one image, and tell the cell of each detection.

    Args:
        head: As for `decode`, and so the others.
        outputs: Outputs of the session.
        input_size: (width, height) of the model's input in pixels.
        confidence: Minimum score, exclusive.
        iou: IoU threshold of non-maximum suppression.
        max_detections: Maximum number of detections.
        class_confidence: (classes,) minimum score of each class.
        output_names: Names of the outputs.

    Returns:
        The result of `decode`, and int64 (N,): of a "segment" head the cell of each detection, for
        `edgeloop.models.heads.segment.draw_masks`; of another head its number among the candidates.

    Raises:
        ModelError: The output has the wrong shape for this head, or a class that `class_confidence` lacks.
    """
    found, rows = _decode(head, outputs, input_size, confidence, output_names)
    if len(found) and class_confidence is not None:
        if not 0 <= found.class_id.min() <= found.class_id.max() < len(class_confidence):
            raise AbsurdOutputError(
                f"returned the classes {found.class_id.min()} to {found.class_id.max()}, but has names for "
                f"{len(class_confidence)}"
            )
        sure = found.confidence > class_confidence[found.class_id]
        found, rows = found[sure], rows[sure]
    if not len(found):
        return found, rows
    if head in ("end2end", "detr"):
        kept = np.argsort(-found.confidence, kind="stable")[:max_detections]
    else:
        kept = nms(found.xyxy, found.confidence, found.class_id, iou, limit=max_detections)
    return found[kept], rows[kept]


def _decode(
    head: Head,
    outputs: Sequence[NDArray[np.floating]],
    input_size: tuple[int, int],
    confidence: float,
    output_names: Sequence[str],
) -> tuple[Detections, NDArray[np.int64]]:
    match head:
        case "segment":
            return segment.decode(outputs, confidence=confidence)
        case "end2end":
            found = end2end.decode(outputs[0], confidence=confidence)
        case "classic":
            found = classic.decode(outputs[0], confidence=confidence)
        case "yolov5":
            found = yolov5.decode(outputs[0], confidence=confidence)
        case "yolox":
            found = yolox.decode(outputs[0], input_size=input_size, confidence=confidence)
        case "fastestdet":
            found = fastestdet.decode(outputs[0], input_size=input_size, confidence=confidence)
        case "nanodet":
            found = nanodet.decode(outputs, input_size=input_size, confidence=confidence)
        case "raw":
            found = raw.decode(outputs, input_size=input_size, confidence=confidence)
        case "detr":
            found = detr.decode(outputs, input_size=input_size, confidence=confidence, names=output_names)
    return found, np.arange(len(found))
