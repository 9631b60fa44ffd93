"""What the prompters find on the exemplar frames when each is treated as one they have never seen.

There the truth is known, so this is where the later steps learn what is mistaken for an object, and how far
each opinion can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgeloop.labeling.candidates.exemplar_masks import OutlinedFrame
from edgeloop.labeling.candidates.find import Candidate, find_candidates
from edgeloop.labeling.inputs.exemplars import Exemplars
from edgeloop.labeling.prompts.prompter import Prompter, Prompts
from edgeloop.labeling.sam import Segmenter

__all__ = ["Rehearsal", "outlined", "rehearse"]


@dataclass(frozen=True, slots=True, eq=False)
class Rehearsal:
    """One exemplar frame, or a picture made of one, and what was found on it.

    Attributes:
        frame: With the person's boxes.
        found: What the prompters found.
    """

    frame: OutlinedFrame
    found: Sequence[Candidate]


def outlined(exemplars: Exemplars, segmenter: Segmenter) -> list[OutlinedFrame]:
    """Ask SAM about the person's boxes.

    Args:
        exemplars: The person's boxes.
        segmenter: Draws the masks.

    Returns:
        The frames.
    """
    frames = []
    for number, frame in enumerate(exemplars.frames):
        image = frame.image()
        seen = find_candidates(image, [Prompts("human", frame.xyxy)], segmenter)
        silhouettes = [candidate.silhouette if candidate.outlined else None for candidate in seen]
        frames.append(OutlinedFrame(number, image, frame.xyxy, frame.class_id, silhouettes))
    return frames


def rehearse(
    frames: Iterable[OutlinedFrame], prompters: Sequence[Prompter], segmenter: Segmenter
) -> list[Rehearsal]:
    """Go through exemplar frames.

    Args:
        frames: Those that the prompters were fitted to, and pictures made of them.
        prompters: Fitted.
        segmenter: Draws the masks.

    Returns:
        One rehearsal for each frame.
    """
    rehearsals = []
    for frame in frames:
        prompts = [own for prompter in prompters for own in prompter.rehearse(frame.image, frame.number)]
        rehearsals.append(Rehearsal(frame, find_candidates(frame.image, prompts, segmenter)))
    return rehearsals
