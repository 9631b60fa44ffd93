"""From prompts to candidates: what SAM found at each place, and whether to believe its outline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.mask import Silhouette
from edgeloop.labeling.prompts.prompter import Prompts
from edgeloop.labeling.sam import Segmenter
from edgeloop.models.boxes import iou_matrix

__all__ = ["Candidate", "find_candidates"]

_PROMPTS_AT_ONCE = 32  # masks come at the size of the frame
_DOUBTED, _TRUSTED = 0.4, 0.9  # predicted IoU of a mask that says nothing, and of one that says all
_LEAST_AGREEMENT = 0.6
_SAME_IOU = 0.5  # two boxes of one thing
_SURE = 0.5  # class score of a box from which on nobody has to ask what is in it
_NOT_FOUND = 0.02  # class score of what a prompter that knows classes did not propose
_LEAST_POINT_SCORE = 0.3  # what a point means is decided by its looks; this only leaves out the hopeless


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """Something in a frame that may be an object.

    Attributes:
        xyxy: float32 (4,), pixels of the frame.
        silhouette: SAM's mask; None where SAM saw nothing believable.
        outlined: Whether the mask is one of what the prompt meant.
        sam_score: IoU that SAM predicts for its mask, about [0, 1].
        class_scores: float32 (classes,), from the prompter, or from another one that found the same; None
            where no prompter knows classes.
        source: Name of the prompter.
    """

    xyxy: NDArray[np.float32]
    silhouette: Silhouette | None
    outlined: bool
    sam_score: float
    class_scores: NDArray[np.float32] | None
    source: str

    @property
    def trust(self) -> float:
        """How far to believe SAM's mask, in [0, 1], by the IoU that SAM predicts for it."""
        return min(max((self.sam_score - _DOUBTED) / (_TRUSTED - _DOUBTED), 0.0), 1.0)


def find_candidates(
    image: NDArray[np.uint8], prompts: Iterable[Prompts], segmenter: Segmenter
) -> list[Candidate]:
    """Ask SAM about some places in a frame.

    Args:
        image: HxWx3 uint8 BGR.
        prompts: Where to look.
        segmenter: Encodes the image once, however many prompts there are; not at all where there is none.

    Returns:
        One candidate for each box, and for each point where SAM is sure of an object and no prompter that
        knows classes is. If there is one that does, all have class scores.
    """
    prompts = list(prompts)
    asked = [p for p in _without_answered(prompts) if len(p)]
    if asked:
        segmenter.set_image(image)
    found = [candidate for p in asked for candidate in _ask(p, segmenter)]
    known = [p.class_scores for p in prompts if p.class_scores is not None]
    return _with_class_scores(found, known[0].shape[1]) if known else found


def _without_answered(prompts: Sequence[Prompts]) -> Iterator[Prompts]:
    """Leave out points on what a prompter that knows classes is sure of: SAM is asked about its box already.

    Which class does not matter. Boxes of other prompters stay, for theirs may fit better.
    """
    boxes = [p.coords[p.class_scores.max(axis=1) >= _SURE] for p in prompts if p.class_scores is not None]
    sure = np.concatenate([np.empty((0, 4), np.float32), *boxes])
    for own in prompts:
        if own.are_boxes or own.class_scores is not None:
            yield own
        else:
            points = own.coords[:, None]
            inside = np.all((points > sure[:, :2]) & (points < sure[:, 2:]), axis=2)
            yield replace(own, coords=own.coords[~np.any(inside, axis=1)])


def _with_class_scores(found: Sequence[Candidate], classes: int) -> list[Candidate]:
    """Give those of prompters that know no classes the scores of the same things found by one that does.

    What that one did not find has a score too, the lowest: not to be found is an opinion.
    """
    scored = [(own.xyxy, own.class_scores) for own in found if own.class_scores is not None]
    boxes = np.array([xyxy for xyxy, _ in scored], np.float32).reshape(-1, 4)
    scores = np.array([own for _, own in scored], np.float32).reshape(-1, classes)
    completed = []
    for candidate in found:
        if candidate.class_scores is None:
            same = iou_matrix(candidate.xyxy[None], boxes)[0] >= _SAME_IOU
            candidate = replace(candidate, class_scores=scores[same].max(axis=0, initial=_NOT_FOUND))
        completed.append(candidate)
    return completed


def _ask(prompts: Prompts, segmenter: Segmenter) -> Iterator[Candidate]:
    for start in range(0, len(prompts), _PROMPTS_AT_ONCE):
        coords = prompts.coords[start : start + _PROMPTS_AT_ONCE]
        masks, scores = segmenter.masks(**{"boxes" if prompts.are_boxes else "points": coords})
        for row, (mask, score) in enumerate(zip(masks, scores.tolist(), strict=True)):
            silhouette = Silhouette.of_mask(mask)
            of_prompt = prompts.class_scores
            class_scores = None if of_prompt is None else of_prompt[start + row]
            if prompts.are_boxes:
                yield _from_box(coords[row], silhouette, score, class_scores, prompts.source)
            elif silhouette is not None and score >= _LEAST_POINT_SCORE:
                yield Candidate(silhouette.xyxy, silhouette, True, score, class_scores, prompts.source)


def _from_box(
    box: NDArray[np.float32],
    silhouette: Silhouette | None,
    score: float,
    class_scores: NDArray[np.float32] | None,
    source: str,
) -> Candidate:
    """Move the box to the mask, the farther the surer SAM is of it.

    A mask that reaches far beyond the box, or fills little of it, shows something else: the box stays.
    """
    if silhouette is None or score < _DOUBTED:
        return Candidate(box, None, False, score, class_scores, source)
    agreement = float(iou_matrix(box[None], silhouette.xyxy[None])[0, 0])
    if agreement < _LEAST_AGREEMENT:
        return Candidate(box, silhouette, False, score, class_scores, source)
    trust = np.float32(min((score - _DOUBTED) / (_TRUSTED - _DOUBTED), 1.0))
    return Candidate(box + trust * (silhouette.xyxy - box), silhouette, True, score, class_scores, source)
