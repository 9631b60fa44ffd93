"""Golden sample: a synthetic input and a model's output, to check that it computes the same elsewhere.

The input is drawn, so it contains no footage and takes no space in the file. The most confident raw rows are
compared, even if none is a detection: they too went through every layer. Scores are compared as logits,
because a sigmoid near 0 hides differences of the layers before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.bundle.document import Golden, GoldenRow, WeightPrecision
from edgeloop.models.errors import ModelError
from edgeloop.models.heads import Head
from edgeloop.models.heads.end2end import end2end_rows
from edgeloop.models.heads.segment import count_classes, mean_mask

__all__ = ["TOLERANCES", "Difference", "array_digest", "compare_golden", "golden_image", "golden_record"]

_ROWS = 32
_MIN_SCORE_RATIO = 1.05
_MIN_SCORE = 1e-4  # a logit of -9.2, below which half precision has hardly any digits


@dataclass(frozen=True)
class Difference:
    """Largest differences between two outputs for the golden sample.

    Attributes:
        box_px: Difference of a box coordinate, in pixels of the model's input.
        logit: Difference of the logit of a score.
        mask: Difference of the mean probability of a mask; None without masks.
    """

    box_px: float
    logit: float
    mask: float | None = None

    def within(self, other: Difference) -> bool:
        """True if all differences are <= `other`'s; NaN never is."""
        same_mask = self.mask is None or (other.mask is not None and self.mask <= other.mask)
        return self.box_px <= other.box_px and self.logit <= other.logit and same_mask


# Measured with the demo's detector at 320 px between onnxruntime with and without graph optimizations, and
# OpenVINO: fp32 0.0001 px and 0.0004, fp16 0.11 px and 0.004, and between fp16
# and fp32 0.13 px and 0.02. With and without optimizations int8 0.7 px and 0.26. Means of masks, with a
# detector of 32 training images: fp32 with OpenVINO 0.000005, fp16 against fp32 0.006.
TOLERANCES: Mapping[WeightPrecision, Difference] = {
    "fp32": Difference(0.05, 0.01, 0.002),
    "fp16": Difference(0.5, 0.1, 0.01),
    "int8": Difference(2.0, 0.5, 0.05),
}


def golden_image(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw the golden input: gradients, edges and texture in integer arithmetic, equal on every machine.

    Args:
        size: (width, height) in pixels.

    Returns:
        uint8 HxWx3 BGR.
    """
    width, height = size
    x, y = np.meshgrid(np.arange(width, dtype=np.int64), np.arange(height, dtype=np.int64))
    ramp = (x * 255) // max(width - 1, 1)
    tiles = np.where(((x // 24) + (y // 24)) % 2 == 0, 200, 40)
    texture = (x * x * 7 + y * y * 13 + x * y * 5) % 256
    return np.stack((ramp, tiles, texture), axis=-1).astype(np.uint8)


def array_digest(*arrays: NDArray[np.generic]) -> str:
    """Compute the sha256 of arrays' dtypes, shapes and values in C order, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def golden_record(head: Head, image: NDArray[np.uint8], outputs: Sequence[NDArray[np.floating]]) -> Golden:
    """Record the output of a model for the golden image.

    Args:
        head: Head of the model; rows are kept for "classic", "end2end" and "segment" only.
        image: uint8 HxWx3 BGR.
        outputs: Raw outputs of the model that the head reads.

    Returns:
        Digests of image and outputs, and up to 32 rows with the highest scores.
    """
    rows = _rows(head, outputs)
    rows[:, :4] = rows[:, :4].round(4)
    places = np.argsort(-rows[:, 4], kind="stable")[:_ROWS]
    if head == "end2end":
        # Rounding may replace rows that score like the last one of the list.
        places = places[rows[places, 4] > _MIN_SCORE_RATIO * rows[:, 4].min()]
    return Golden(
        input_sha256=array_digest(image),
        output_sha256=array_digest(*outputs),
        rows=tuple(
            GoldenRow(
                place=place,
                class_id=int(class_id),
                score=float(f"{score:.6g}"),
                box=(a, b, c, d),
                mask=round(mean_mask(outputs, place), 5) if head == "segment" else None,
            )
            for place, (a, b, c, d, score, class_id) in zip(
                places.tolist(), rows[places].tolist(), strict=True
            )
        ),
    )


def compare_golden(golden: Golden, head: Head, outputs: Sequence[NDArray[np.floating]]) -> Difference:
    """Compare the outputs of a model with the recorded ones.

    A row of a classic or segment head is compared with the same cell. An end-to-end head sorts its rows by
    score, and rounding may swap them, so a row is compared with the nearest one of its class.

    Args:
        golden: The record, with rows.
        head: Head of the model.
        outputs: Raw outputs for the golden image that the head reads.

    Returns:
        The largest differences over all rows; infinite if a row has no counterpart.

    Raises:
        ModelError: The record names cells or classes that this output does not have.
    """
    differences = [_compare_row(row, head, outputs) for row in golden.rows]
    boxes, logits = zip(*differences, strict=True)
    stated = [(row.place, row.mask) for row in golden.rows if row.mask is not None and head == "segment"]
    masks = [abs(mean_mask(outputs, place) - mask) for place, mask in stated]
    # NaN wins, unlike with Python's max.
    return Difference(float(np.max(boxes)), float(np.max(logits)), float(np.max(masks)) if masks else None)


def _rows(head: Head, outputs: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Extract (N, 6): box in the head's format, best score and its class; empty for other heads."""
    rows: NDArray[np.float64] = np.empty((0, 6))
    if head == "end2end":
        rows = end2end_rows(outputs[0]).astype(np.float64)
    elif head in ("classic", "segment"):
        dense = _boxes_and_scores(head, outputs)[0]
        best = np.stack((dense[4:].max(axis=0), dense[4:].argmax(axis=0)))
        rows = np.concatenate((dense[:4], best)).T.astype(np.float64)
    return rows


def _boxes_and_scores(head: Head, outputs: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    """Dense output (1, 4 + classes, N) without the coefficients of masks."""
    return outputs[0][:, : 4 + count_classes(outputs)] if head == "segment" else outputs[0]


def _compare_row(row: GoldenRow, head: Head, outputs: Sequence[NDArray[np.floating]]) -> tuple[float, float]:
    if head == "end2end":
        rows = end2end_rows(outputs[0])
        found = rows[rows[:, 5] == row.class_id].astype(np.float64)
    else:
        output = _boxes_and_scores(head, outputs)
        if head not in ("classic", "segment") or output.ndim != 3:
            raise ModelError(f"golden sample: has rows, which are not recorded for the head '{head}'")
        if row.place >= output.shape[2] or row.class_id >= output.shape[1] - 4:
            raise ModelError(
                f"golden sample: names cell {row.place} and class {row.class_id}, the output has "
                f"{output.shape[2]} cells and {output.shape[1] - 4} classes"
            )
        place = output[0, :, row.place].astype(np.float64)
        found = np.append(place[:4], place[4 + row.class_id])[None]
    if not len(found):
        return np.inf, np.inf
    boxes = np.abs(found[:, :4] - row.box).max(axis=1)
    logits = np.abs(_logit(found[:, 4]) - _logit(np.array(row.score)))
    limit = TOLERANCES["fp32"]  # scales pixels against logits
    nearest = int((boxes / limit.box_px + logits / limit.logit).argmin())
    return float(boxes[nearest]), float(logits[nearest])


def _logit(score: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(score, _MIN_SCORE, 1 - _MIN_SCORE)
    logit: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return logit
