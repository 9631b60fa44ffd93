"""Predictions on held-out exemplar frames.

Their truth is known, so classifier and calibration learn from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.exemplar_masks import ExemplarMasks
from edgeloop.labeling.candidates.find import find_candidates
from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.inputs.exemplars import Exemplars
from edgeloop.labeling.prompts.prompter import Prompter
from edgeloop.labeling.sam import Segmenter

__all__ = ["HeldOutFrame", "predict_held_out", "segment_exemplars"]


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutFrame:
    """A held-out exemplar frame, or an augmentation of one, with the candidates on it.

    Attributes:
        frame: With the person's boxes.
        found: What the prompters found.
    """

    frame: ExemplarMasks
    found: Sequence[Candidate]


def segment_exemplars(exemplars: Exemplars, segmenter: Segmenter) -> list[ExemplarMasks]:
    """Segment the person's boxes."""
    frames = []
    for number, frame in enumerate(exemplars.frames):
        image = frame.image()
        seen = find_candidates(image, [Prompts("human", frame.xyxy)], segmenter)
        masks = [candidate.mask if candidate.mask_agrees else None for candidate in seen]
        frames.append(ExemplarMasks(number, image, frame.xyxy, frame.class_id, masks))
    return frames


def predict_held_out(
    frames: Iterable[ExemplarMasks], prompters: Sequence[Prompter], segmenter: Segmenter
) -> list[HeldOutFrame]:
    """Find candidates on each held-out exemplar frame, and on pictures made of them."""
    held_out = []
    for frame in frames:
        prompts = [
            own for prompter in prompters for own in prompter.propose_held_out(frame.image, frame.number)
        ]
        held_out.append(HeldOutFrame(frame, find_candidates(frame.image, prompts, segmenter)))
    return held_out
