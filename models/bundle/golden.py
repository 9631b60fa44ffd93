"""One input that every machine can make for itself, to tell whether a model still computes what it did.

The input is drawn, so it is nobody's footage and takes no room in the file. A detector may find nothing in
it worth a box, and need not: compared are its raw answers where it is least unsure, which went through every
layer all the same. Scores are compared as logits: a sigmoid near 0 hides what the layers before it did.
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

__all__ = ["TOLERANCES", "Difference", "array_digest", "compare_golden", "golden_image", "golden_record"]

_ROWS = 32
_ABOVE_LEAST = 1.05
_LEAST_SCORE = 1e-4  # a logit of -9.2; below it a head in half precision has hardly any digits left


@dataclass(frozen=True)
class Difference:
    """How far a golden sample is off, at its worst.

    Attributes:
        box_px: Side of a box, in pixels of the model's input.
        logit: Logit of a score.
    """

    box_px: float
    logit: float

    def within(self, other: Difference) -> bool:
        """Whether this is no more than another; never where the model answered with what is no number."""
        return self.box_px <= other.box_px and self.logit <= other.logit


# What machines may differ by. Measured with the demo's detector at 320 px between onnxruntime with and
# without its optimisations, and OpenVINO: fp32 0.0001 px and 0.0004, fp16 0.11 px and 0.004, and between fp16
# and fp32 0.13 px and 0.02. With and without optimisations, int8 0.7 px and 0.26.
TOLERANCES: Mapping[WeightPrecision, Difference] = {
    "fp32": Difference(0.05, 0.01),
    "fp16": Difference(0.5, 0.1),
    "int8": Difference(2.0, 0.5),
}


def golden_image(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw the golden input: gradients, edges and fine texture in whole numbers, the same on every machine.

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


def array_digest(array: NDArray[np.generic]) -> str:
    """Digest an array.

    Args:
        array: any array.

    Returns:
        sha256 of its dtype, shape and values in C order, 64 hexadecimal digits.
    """
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def golden_record(head: Head, image: NDArray[np.uint8], output: NDArray[np.floating]) -> Golden:
    """Write down what a model makes of the golden image.

    Args:
        head: Of the model: "classic" or "end2end"; of others the digest alone is kept.
        image: uint8 HxWx3 BGR.
        output: The model's first raw output.

    Returns:
        Digests of both, and up to 32 rows with the highest scores.
    """
    rows = _rows(head, output)
    places = np.argsort(-rows[:, 4], kind="stable")[:_ROWS]
    if head == "end2end":
        # As good as the least of the list, a row may fall out of it by rounding and leave room for another.
        places = places[rows[places, 4] > _ABOVE_LEAST * rows[:, 4].min()]
    return Golden(
        input_sha256=array_digest(image),
        output_sha256=array_digest(output),
        rows=tuple(
            GoldenRow(
                place=place,
                class_id=int(rows[place, 5]),
                score=float(f"{rows[place, 4]:.6g}"),
                box=_four(rows[place, :4].round(4).tolist()),
            )
            for place in places.tolist()
        ),
    )


def compare_golden(golden: Golden, head: Head, output: NDArray[np.floating]) -> Difference:
    """Compare a model's answer with the one that was written down.

    A classic head answers cell by cell, so each row has its place. An end-to-end head sorts its rows by
    score, and rounding alone may swap two of them: there, the nearest row of the same class counts.

    Args:
        golden: What was written down, with rows.
        head: Of the model.
        output: Its first raw output on the golden image.

    Returns:
        The largest difference over all rows; infinite where a row has nothing to be compared with.

    Raises:
        ModelError: The record names places or classes that this output does not have.
    """
    differences = [_compare_row(row, head, output) for row in golden.rows]
    boxes, logits = zip(*differences, strict=True)
    return Difference(float(np.max(boxes)), float(np.max(logits)))  # NaN wins, unlike with Python's max


def _rows(head: Head, output: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, 6): a box in the head's own form, its best score and the class of that; empty for other heads."""
    rows: NDArray[np.float64] = np.empty((0, 6))
    if head == "end2end":
        rows = output[0].astype(np.float64)
    elif head == "classic":
        scores = output[0, 4:]
        best = np.stack((scores.max(axis=0), scores.argmax(axis=0)))
        rows = np.concatenate((output[0, :4], best)).T.astype(np.float64)
    return rows


def _compare_row(row: GoldenRow, head: Head, output: NDArray[np.floating]) -> tuple[float, float]:
    if head == "end2end":
        found = output[0][output[0, :, 5] == row.class_id].astype(np.float64)
    else:
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
    limit = TOLERANCES["fp32"]  # weighs pixels against logits
    nearest = int((boxes / limit.box_px + logits / limit.logit).argmin())
    return float(boxes[nearest]), float(logits[nearest])


def _logit(score: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(score, _LEAST_SCORE, 1 - _LEAST_SCORE)
    logit: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return logit


def _four(values: Sequence[float]) -> tuple[float, float, float, float]:
    first, second, third, fourth = values
    return first, second, third, fourth
