"""Labeling of one frame: prompt, segment, score, suppress duplicates, regress boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.dedupe import deduplicate
from edgeloop.labeling.candidates.find import find_candidates
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.inputs.exemplars import ExemplarFrame
from edgeloop.labeling.ledger import Label
from edgeloop.labeling.prompts.prompter import Prompter
from edgeloop.labeling.sam import Segmenter
from edgeloop.labeling.scoring.box_regression import BoxRegressor, refine_boxes
from edgeloop.labeling.scoring.scorers import Scorer

__all__ = ["FrameLabeler"]

_UNSURE_SHARE = 0.1  # of the minimum score; below, not even neighboring frames can confirm a candidate
_MIN_MARGIN = 0.1  # between the best class and the next; below, the class is unsure


@dataclass(frozen=True, slots=True)
class FrameLabeler:
    """Labels frames one by one; a result depends on the frame, and on the state of a prompter that has one.

    Attributes:
        prompters: Propose boxes and points.
        segmenter: Draws the masks.
        scorer: Scores candidates for each class.
        confidence: Minimum label score, in [0, 1].
        regressor: Refines the boxes; None without exemplar frames.
    """

    prompters: Sequence[Prompter]
    segmenter: Segmenter
    scorer: Scorer
    confidence: float
    regressor: BoxRegressor | None = None

    def problem(self, image: NDArray[np.uint8]) -> str | None:
        """Give the reason why a frame, HxWx3 uint8 BGR, cannot be labeled; None if it can."""
        return self.scorer.problem(image)

    def label(self, image: NDArray[np.uint8]) -> tuple[list[Label], list[Label]]:
        """Label a frame, HxWx3 uint8 BGR: labels to train on, and unsure ones, each by descending score."""
        prompts = [own for prompter in self.prompters for own in prompter.propose(image)]
        candidates = find_candidates(image, prompts, self.segmenter)
        if not candidates:
            return [], []
        scores = self.scorer.scores(image, candidates)
        best = scores.max(axis=1)
        class_id = scores.argmax(axis=1)
        margin = best - np.sort(scores, axis=1)[:, -2] if scores.shape[1] > 1 else best
        rows = [
            row
            for row in deduplicate(candidates, best, class_id)
            if best[row] >= _UNSURE_SHARE * self.confidence
        ]
        found = self._refined(image, [candidates[row] for row in rows])
        sure: list[Label] = []
        unsure: list[Label] = []
        for number in deduplicate(found, best[rows], class_id[rows]):
            row = rows[number]
            label = _label(found[number], int(class_id[row]), float(best[row]), image)
            (sure if best[row] >= self.confidence and margin[row] >= _MIN_MARGIN else unsure).append(label)
        return sure, unsure

    def _refined(self, image: NDArray[np.uint8], found: Sequence[Candidate]) -> Sequence[Candidate]:
        """Refine the boxes of the candidates that are left; for all of them it would take too long."""
        if self.regressor is None or not found:
            return found
        boxes = refine_boxes(self.regressor, image, found)
        return [replace(candidate, xyxy=box) for candidate, box in zip(found, boxes, strict=True)]

    def label_exemplar(self, image: NDArray[np.uint8], exemplar: ExemplarFrame) -> list[Label]:
        """Turn a person's boxes on a frame, HxWx3 uint8 BGR, into one label for each of a class to label.

        The boxes stay as drawn, SAM adds masks.
        """
        named = exemplar.class_id >= 0
        prompts = Prompts("human", exemplar.xyxy[named])
        drawn = zip(
            find_candidates(image, [prompts], self.segmenter),
            prompts.coords,
            exemplar.class_id[named].tolist(),
            strict=True,
        )
        return [
            _label(replace(candidate, xyxy=box), class_id, 1.0, image) for candidate, box, class_id in drawn
        ]


def _label(candidate: Candidate, class_id: int, score: float, image: NDArray[np.uint8]) -> Label:
    x1, y1, x2, y2 = (round(side, 2) for side in candidate.xyxy.tolist())
    cropped = candidate.mask if candidate.mask_agrees else None
    return Label(
        xyxy=(x1, y1, x2, y2),
        class_id=class_id,
        score=round(score, 4),
        counts=None if cropped is None else _run_lengths(cropped, image.shape[:2]),
        prompt=candidate.source,
        sam_score=round(candidate.sam_score, 4),
    )


def _run_lengths(cropped: CroppedMask, size: tuple[int, ...]) -> str:
    mask = np.zeros(size, np.uint8, order="F")
    mask[cropped.top : cropped.bottom, cropped.left : cropped.right] = cropped.bits
    counts: bytes = rle.encode(mask)["counts"]
    return counts.decode("ascii")
