"""Review of one version of a dataset: its doubts, and their states after a person's decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edgeloop.labeling.dataset.decisions import (
    HUMAN,
    Decision,
    FrameDecision,
    RightDecision,
    WrongDecision,
    decide_frame,
    means,
)
from edgeloop.labeling.ledger import FrameResult
from edgeloop.labeling.studio.review.doubts import Doubt
from edgeloop.labeling.studio.review.review_queue import Found, Queue
from edgeloop.models.boxes import iou_matrix

__all__ = ["OpenReview", "is_error", "is_of"]

_SAME_IOU = 0.5  # of a label and a doubt
_UNCHANGED_IOU = 0.95


@dataclass(frozen=True, slots=True)
class _Decided:
    """Labels of a frame as decided, and the states of its doubts that were asked for."""

    decisions: Sequence[Decision]
    result: FrameResult
    states: dict[Doubt, str]


@dataclass(slots=True, eq=False)
class OpenReview:
    """Review of one version of the dataset.

    Attributes:
        found: Labels as they were found.
        queue: The queue; None while it is being arranged.
        version: Identity of the dataset.
        done, total: Progress of arranging the queue.
        expected: Number of errors that the scores tell of.
        of_file: Doubts by name of the frame.
    """

    found: Found
    version: tuple[int, int, int]
    queue: Queue | None = None
    done: int = 0
    total: int = 0

    expected: float = field(init=False)
    of_file: dict[str, list[Doubt]] = field(init=False)
    _decided: dict[str, _Decided] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.expected = sum(doubt.error_probability for doubt in self.found.doubts)
        self.of_file = {}
        for doubt in self.found.doubts:
            self.of_file.setdefault(doubt.file, []).append(doubt)

    def decided(self, file: str, decisions: Sequence[Decision]) -> FrameResult:
        """Labels of a frame as decided."""
        return self._of(file, decisions).result

    def state(self, doubt: Doubt, decisions: Sequence[Decision]) -> str:
        """State of a doubt after the decisions on its frame: "open", "right", "wrong" or "changed"."""
        own = self._of(doubt.file, decisions)
        if doubt not in own.states:
            own.states[doubt] = _state(doubt, own.result, decisions, self.found.names)
        return own.states[doubt]

    def _of(self, file: str, decisions: Sequence[Decision]) -> _Decided:
        known = self._decided.get(file)
        if known is None or known.decisions != decisions:
            result = self.found.results[file]
            if not result.by_person:
                result = decide_frame(result, decisions, self.found.names)
            known = self._decided[file] = _Decided(decisions, result, {})
        return known


def is_error(decision: Decision, found: FrameResult | None, names: Sequence[str]) -> bool:
    """True if a decision corrects what was found."""
    if isinstance(decision, FrameDecision) or found is None:
        return False
    if not isinstance(decision, RightDecision | WrongDecision):
        return True
    meant = means(decision.box.xyxy, found.labels)
    labeled = any(
        own and names[label.class_id] == decision.box.name
        for own, label in zip(meant, found.labels, strict=True)
    )
    return labeled == isinstance(decision, WrongDecision)


def is_of(decision: Decision, names: Sequence[str]) -> bool:
    """True if a decision is on classes of a dataset, rather than on a class that has another name there."""
    if isinstance(decision, FrameDecision):
        return all(box.name in names for box in decision.boxes)
    return decision.box.name in names


def _state(doubt: Doubt, result: FrameResult, decisions: Sequence[Decision], names: Sequence[str]) -> str:
    class_id = names.index(doubt.name)
    group = result.labels if doubt.kind == "label" else result.unsure
    for label in group:
        if label.prompt != HUMAN and label.xyxy == doubt.xyxy and label.class_id == class_id:
            return "open"
    box = np.array([doubt.xyxy], np.float32)
    for label in result.labels:
        overlap = float(iou_matrix(box, np.array([label.xyxy], np.float32))[0, 0])
        if label.prompt == HUMAN and overlap >= _SAME_IOU:
            same = label.class_id == class_id and overlap >= _UNCHANGED_IOU
            return "right" if same else "changed"
    if doubt.kind != "miss" or any(_rejects(decision, doubt) for decision in decisions):
        return "wrong"
    return "open"


def _rejects(decision: Decision, doubt: Doubt) -> bool:
    if isinstance(decision, FrameDecision):
        return True
    if not isinstance(decision, WrongDecision) or decision.box.name != doubt.name:
        return False
    ours = np.array([decision.box.xyxy, doubt.xyxy], np.float32)
    return float(iou_matrix(ours[:1], ours[1:])[0, 0]) >= _SAME_IOU
