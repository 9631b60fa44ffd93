"""Proposals of a frame without what a person drew or rejected, and the frames to draw next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from edgeloop.labeling.studio.exemplar_file import DrawnFrame
from edgeloop.labeling.studio.proposals.messages import ProposedBox
from edgeloop.labeling.studio.proposals.rejections import RejectedBox
from edgeloop.models.boxes import iou_matrix

__all__ = ["LIKELY", "FrameRow", "choose_next", "left_over", "row_of", "to_look_at"]

LIKELY = 0.5
"""Probability from which on a proposal counts."""

_SAME_IOU = 0.5


class FrameRow(NamedTuple):
    """Proposals of one frame in short.

    Attributes:
        frame: Number of the frame.
        likely: Number of proposals that are right rather than wrong.
        surest: Highest probability.
        doubt: Expected number of proposals that are wrongly shown or wrongly not shown.
    """

    frame: int
    likely: int
    surest: float
    doubt: float


def left_over(
    found: Sequence[ProposedBox], drawn: DrawnFrame, rejected: frozenset[RejectedBox]
) -> list[ProposedBox]:
    """Leave out what overlaps a drawn box, and what was rejected as this class."""
    if not found or not (drawn.boxes or rejected):
        return list(found)
    boxes = np.array([box.xyxy for box in found], np.float32)
    kept = np.ones(len(found), bool)
    if drawn.boxes:
        kept &= iou_matrix(boxes, np.array([box.xyxy for box in drawn.boxes], np.float32)).max(1) < _SAME_IOU
    for each in rejected:
        same = np.array([box.name == each.name for box in found])
        kept &= ~(same & (iou_matrix(boxes, np.array([each.xyxy], np.float32))[:, 0] >= _SAME_IOU))
    return [box for box, keep in zip(found, kept.tolist(), strict=True) if keep]


def row_of(frame: int, boxes: Sequence[ProposedBox]) -> FrameRow:
    """Sum up the proposals of a frame."""
    scores = [box.score for box in boxes]
    doubt = sum(min(score, 1 - score) for score in scores)
    likely = sum(score >= LIKELY for score in scores)
    return FrameRow(frame, likely, round(max(scores, default=0.0), 4), round(doubt, 4))


def to_look_at(
    rows: Mapping[int, FrameRow], boxes: Callable[[int], Sequence[ProposedBox]], count: int, *, doubtful: bool
) -> list[tuple[int, ProposedBox]]:
    """Choose proposals for a look: of each frame that ranks first the surest, or the one in most doubt.

    Args:
        rows: Frames that were searched and are not complete.
        boxes: Gives the proposals of a frame.
        count: Number of proposals to choose.
        doubtful: Choose by doubt.
    """
    ranked = sorted(rows.values(), key=lambda row: -(row.doubt if doubtful else row.surest))
    chosen = []
    for row in [row for row in ranked if row.surest > 0][:count]:
        if own := boxes(row.frame):  # a person may have drawn or rejected the last one since
            best = min(own, key=lambda box: abs(box.score - LIKELY) if doubtful else -box.score)
            chosen.append((row.frame, best))
    return chosen


def choose_next(rows: Mapping[int, FrameRow], complete: Sequence[int], frames: int, count: int) -> list[int]:
    """Choose the frames to draw next: in most doubt, and not beside one that is drawn or chosen.

    Frames within half of an even spacing of one that counts are left out, as neighbors of a film are alike.

    Args:
        rows: Frames that were searched and are not complete.
        complete: Numbers of the complete frames.
        frames: Number of all frames.
        count: Number of frames to choose.
    """
    taken = list(complete)
    gap = max(1, frames // (2 * (len(taken) + count)))
    chosen: list[int] = []
    for row in sorted(rows.values(), key=lambda row: -row.doubt):
        if len(chosen) == count:
            break
        if min((abs(row.frame - other) for other in taken), default=math.inf) >= gap:
            chosen.append(row.frame)
            taken.append(row.frame)
    return chosen
