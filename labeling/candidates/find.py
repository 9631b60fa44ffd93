"""Prompts to candidates: ask SAM and decide whether its mask agrees with the prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.candidate import MIN_SAM_SCORE, Candidate, mask_trust
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.sam import Segmenter
from edgeloop.models.boxes import iou_matrix

__all__ = ["find_candidates"]

_BATCH = 32  # masks come at the size of the frame
_MIN_AGREEMENT = 0.6  # IoU of a box and its mask's box
_SAME_OBJECT_IOU = 0.5
_SURE_SCORE = 0.5  # class score of a box from which on no point inside it is asked about
_NOT_PROPOSED_SCORE = 0.02  # class score of an object that a prompter that knows classes did not propose
_MIN_POINT_SCORE = 0.3  # points are classified later; this only drops hopeless masks


def find_candidates(
    image: NDArray[np.uint8], prompts: Iterable[Prompts], segmenter: Segmenter
) -> list[Candidate]:
    """Segment the objects at some prompts.

    Args:
        image: HxWx3 uint8 BGR.
        prompts: Boxes and points.
        segmenter: Encodes the image once, however many prompts there are; not at all if there is none.

    Returns:
        One candidate for each box, and for each point at which SAM is sure of an object and no prompter that
        knows classes is. If there is such a prompter, all candidates have class scores.
    """
    prompts = list(prompts)
    asked = [p for p in _without_covered_points(prompts) if len(p)]
    if asked:
        segmenter.set_image(image)
    found = [candidate for p in asked for candidate in _segment(p, segmenter)]
    known = [p.class_scores for p in prompts if p.class_scores is not None]
    return _with_class_scores(found, known[0].shape[1]) if known else found


def _without_covered_points(prompts: Sequence[Prompts]) -> Iterator[Prompts]:
    """Drop points inside boxes of which a prompter that knows classes is sure, whatever the class.

    Boxes of other prompters stay, for theirs may fit better.
    """
    boxes = [
        p.coords[p.class_scores.max(axis=1) >= _SURE_SCORE] for p in prompts if p.class_scores is not None
    ]
    sure = np.concatenate([np.empty((0, 4), np.float32), *boxes])
    for own in prompts:
        if own.are_boxes or own.class_scores is not None:
            yield own
        else:
            points = own.coords[:, None]
            inside = np.all((points > sure[:, :2]) & (points < sure[:, 2:]), axis=2)
            yield replace(own, coords=own.coords[~np.any(inside, axis=1)])


def _with_class_scores(found: Sequence[Candidate], classes: int) -> list[Candidate]:
    """Copy class scores to candidates without them, from overlapping ones of prompters that know classes.

    Without such an overlap the score is the lowest: not to be proposed is evidence too.
    """
    scored = [(own.xyxy, own.class_scores) for own in found if own.class_scores is not None]
    boxes = np.array([xyxy for xyxy, _ in scored], np.float32).reshape(-1, 4)
    scores = np.array([own for _, own in scored], np.float32).reshape(-1, classes)
    completed = []
    for candidate in found:
        if candidate.class_scores is None:
            same = iou_matrix(candidate.xyxy[None], boxes)[0] >= _SAME_OBJECT_IOU
            candidate = replace(candidate, class_scores=scores[same].max(axis=0, initial=_NOT_PROPOSED_SCORE))
        completed.append(candidate)
    return completed


def _segment(prompts: Prompts, segmenter: Segmenter) -> Iterator[Candidate]:
    for start in range(0, len(prompts), _BATCH):
        coords = prompts.coords[start : start + _BATCH]
        masks, scores = segmenter.masks(**{"boxes" if prompts.are_boxes else "points": coords})
        for row, (whole, score) in enumerate(zip(masks, scores.tolist(), strict=True)):
            mask = CroppedMask.from_mask(whole)
            of_prompt = prompts.class_scores
            class_scores = None if of_prompt is None else of_prompt[start + row]
            if prompts.are_boxes:
                yield _from_box(coords[row], mask, score, class_scores, prompts.source)
            elif mask is not None and score >= _MIN_POINT_SCORE:
                yield Candidate(mask.xyxy, mask, True, score, class_scores, prompts.source)


def _from_box(
    box: NDArray[np.float32],
    mask: CroppedMask | None,
    score: float,
    class_scores: NDArray[np.float32] | None,
    source: str,
) -> Candidate:
    """Move the box toward the mask's box, in proportion to SAM's confidence in the mask.

    If the mask reaches far beyond the box, or fills little of it, the box stays.
    """
    if mask is None or score < MIN_SAM_SCORE:
        return Candidate(box, None, False, score, class_scores, source)
    if iou_matrix(box[None], mask.xyxy[None])[0, 0] < _MIN_AGREEMENT:
        return Candidate(box, mask, False, score, class_scores, source)
    moved = box + np.float32(mask_trust(score)) * (mask.xyxy - box)
    return Candidate(moved, mask, True, score, class_scores, source)
