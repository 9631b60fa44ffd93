"""Gate of a first student: agreement with its teacher on later frames, and no worse on the person's.

The person's frames are not among those that the student trains on. On each of them it is compared with the
member of the teacher that has not learned from it, as for the promise of `edgeloop label`. So neither has
seen what it is judged on; the student heard of it through the labels of the other members, which have.

They are few, so a difference may be chance: the student counts as worse if it is in 95 of 100 resamples of
these frames (Efron, 1979).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.scoring.coco import coco_results, evaluate_boxes
from edgeloop.export.check.parity import LOWEST_CONFIDENCE
from edgeloop.labeling.engine.calibration import HeldOut as DrawnFrame
from edgeloop.labeling.improvement.generation_gate import Judge, Judgment
from edgeloop.labeling.improvement.held_out import HeldOut, detect_all, score
from edgeloop.labeling.lineage.generation import HeldOutScores
from edgeloop.models.boxes import xyxy_to_xywh
from edgeloop.models.detections import Detections

__all__ = ["judge_by"]

_RESAMPLES, _SURE = 100, 0.95


def judge_by(drawn: Sequence[DrawnFrame], agreement: float) -> Judge:
    """Make the judge of a first student.

    Args:
        drawn: The person's frames, each with what a member of the teacher finds there that has not seen it;
            empty if no member was kept from one.
        agreement: Minimum mAP50 against the teacher's labels on later frames, in [0, 1].
    """
    return partial(_judge, drawn, agreement)


def _judge(drawn: Sequence[DrawnFrame], agreement: float, bundle: Path, frames: HeldOut) -> Judgment:
    images = (*frames.old, *frames.new)
    own = score(images, detect_all(bundle, images, frames.names), frames.names)
    if own is None:
        return Judgment(None, None, f"no object on its {len(images)} later frames to agree on; add frames")
    scores = HeldOutScores(
        frames=len(images), parent=None, own=own.map50, parent_map50_95=None, own_map50_95=own.map50_95
    )
    said = f"mAP50 {own.map50:.3f} against the teacher's labels on {len(images)} later frames"
    if own.map50 < agreement:
        return Judgment(None, scores, f"{said}, expected {agreement:g} at least")
    if not drawn:
        return Judgment(None, scores, None, said)
    teacher = _map50(drawn, frames.names)
    detector = Detector(bundle, provider="cpu", confidence=LOWEST_CONFIDENCE)
    by_student = [DrawnFrame(one.frame, detector.detect(one.frame.image())) for one in drawn]
    student = _map50(by_student, frames.names)
    person = f"{student:.3f} on the person's {len(drawn)} frames, the teacher {teacher:.3f}"
    if student < teacher and _is_worse(by_student, drawn, frames.names):
        return Judgment(None, scores, f"{said}, but {person}")
    chance = ", which may be chance" if student < teacher else ""
    return Judgment(None, scores, None, f"{said}; {person}{chance}")


def _is_worse(own: Sequence[DrawnFrame], other: Sequence[DrawnFrame], names: Sequence[str]) -> bool:
    """True if the first finds less than the other on nearly all resamples of their frames."""
    rng = np.random.default_rng(0)
    drawn = Counter(tuple(sorted(rng.integers(len(own), size=len(own)).tolist())) for _ in range(_RESAMPLES))
    worse = sum(
        count
        for rows, count in drawn.items()
        if _map50([own[row] for row in rows], names) < _map50([other[row] for row in rows], names)
    )
    return worse >= _SURE * _RESAMPLES


def _map50(frames: Sequence[DrawnFrame], names: Sequence[str]) -> float:
    """Mean average precision at IoU 0.5 on the person's frames."""
    truth = [
        {"image_id": number, "category_id": class_id, "bbox": box, "iscrowd": 0}
        for number, one in enumerate(frames)
        for box, class_id in zip(
            xyxy_to_xywh(one.frame.xyxy).tolist(), one.frame.class_id.tolist(), strict=True
        )
        if class_id >= 0
    ]
    coco = {
        "images": [{"id": number} for number in range(len(frames))],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
        "annotations": truth,
    }
    found = [row for number, one in enumerate(frames) for row in coco_results(number, _named(one))]
    return evaluate_boxes(coco, found).map50 if truth else 0.0


def _named(one: DrawnFrame) -> Detections:
    """Detections without those in places that the person told to ignore."""
    ignored = one.frame.xyxy[one.frame.class_id < 0]
    if not len(ignored):
        return one.found
    middle = (one.found.xyxy[:, None, :2] + one.found.xyxy[:, None, 2:]) / 2
    inside = np.all((middle >= ignored[None, :, :2]) & (middle <= ignored[None, :, 2:]), axis=2)
    return one.found[~np.any(inside, axis=1)]
