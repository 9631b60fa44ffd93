"""What the prompters find on the exemplar frames when each is treated as one they have never seen.

There the truth is known, so this is where the later steps learn what is mistaken for an object, and how far
each opinion can be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.candidates import Candidate, find_candidates
from labeling.exemplars import ExemplarFrame, Exemplars
from labeling.prompts.prompt import Prompter, Prompts
from labeling.sam import Segmenter

__all__ = ["Rehearsal", "rehearse"]


@dataclass(frozen=True, slots=True, eq=False)
class Rehearsal:
    """One exemplar frame, and what was found on it.

    Attributes:
        frame: With the person's boxes.
        image: HxWx3 uint8 BGR.
        drawn: SAM's view of the person's boxes, in their order.
        found: What the prompters found.
    """

    frame: ExemplarFrame
    image: NDArray[np.uint8]
    drawn: Sequence[Candidate]
    found: Sequence[Candidate]


def rehearse(exemplars: Exemplars, prompters: Sequence[Prompter], segmenter: Segmenter) -> list[Rehearsal]:
    """Go through the exemplar frames.

    Args:
        exemplars: The person's boxes.
        prompters: Fitted to them.
        segmenter: Draws the masks.

    Returns:
        One rehearsal for each frame.
    """
    rehearsals = []
    for number, frame in enumerate(exemplars.frames):
        image = frame.image()
        prompts = [own for prompter in prompters for own in prompter.rehearse(image, number)]
        found = find_candidates(image, prompts, segmenter)
        drawn = find_candidates(image, [Prompts("human", frame.xyxy)], segmenter)
        rehearsals.append(Rehearsal(frame, image, drawn, found))
    return rehearsals
