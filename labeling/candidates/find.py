"""Prompts to candidates: ask SAM and decide whether its mask agrees with the prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.candidate import MIN_SAM_SCORE, Candidate, mask_trust
from edgeloop.labeling.candidates.mask import CroppedMask
from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.sam import Segmenter
from edgeloop.models.boxes import iou_matrix

__all__ = ["find_candidates", "find_in_frames"]

_BATCH = 32  # masks come at the size of the frame
_MIN_AGREEMENT = 0.6  # IoU of a box and its mask's box
_MIN_POINT_SCORE = 0.3  # points are classified later; this only drops hopeless masks


def find_candidates(
    image: NDArray[np.uint8], prompts: Iterable[Prompts], segmenter: Segmenter
) -> list[Candidate]:
    """Segment the objects at some prompts of one frame, as `find_in_frames` does for several."""
    (found,) = find_in_frames([image], [prompts], segmenter)
    return found


def find_in_frames(
    images: Sequence[NDArray[np.uint8]], prompts: Sequence[Iterable[Prompts]], segmenter: Segmenter
) -> list[list[Candidate]]:
    """Segment the objects at some prompts of several frames.

    Args:
        images: HxWx3 uint8 BGR.
        prompts: Boxes and points of each frame.
        segmenter: Encodes the frames together, each once, however many prompts it has; one without prompts
            is not encoded.

    Returns:
        For each frame, one candidate for each box, and for each point at which SAM is sure of an object.
    """
    asked = [[own for own in each if len(own)] for each in prompts]
    places = [place for place, own in enumerate(asked) if own]
    encoded = segmenter.encode([images[place] for place in places]) if places else []
    found: list[list[Candidate]] = [[] for _ in asked]
    for place, frame in zip(places, encoded, strict=True):
        found[place] = [candidate for own in asked[place] for candidate in _segment(own, frame)]
    return found


def _segment(prompts: Prompts, segmenter: Segmenter) -> Iterator[Candidate]:
    for start in range(0, len(prompts), _BATCH):
        coords = prompts.coords[start : start + _BATCH]
        masks, scores = segmenter.masks(**{"boxes" if prompts.are_boxes else "points": coords})
        for place, whole, score in zip(coords, masks, scores.tolist(), strict=True):
            mask = CroppedMask.from_mask(whole)
            if prompts.are_boxes:
                yield _from_box(place, mask, score, prompts.source)
            elif mask is not None and score >= _MIN_POINT_SCORE:
                yield Candidate(mask.xyxy, mask, True, score, prompts.source)


def _from_box(box: NDArray[np.float32], mask: CroppedMask | None, score: float, source: str) -> Candidate:
    """Move the box toward the mask's box, in proportion to SAM's confidence in the mask.

    If the mask reaches far beyond the box, or fills little of it, the box stays.
    """
    if mask is None or score < MIN_SAM_SCORE:
        return Candidate(box, None, False, score, source)
    if iou_matrix(box[None], mask.xyxy[None])[0, 0] < _MIN_AGREEMENT:
        return Candidate(box, mask, False, score, source)
    moved = box + np.float32(mask_trust(score)) * (mask.xyxy - box)
    return Candidate(moved, mask, True, score, source)
