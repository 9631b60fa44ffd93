"""Inputs of a labeling job: exemplars and background model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.features.embedders import reads_text
from edgeloop.labeling.inputs.crops import holds_crops, read_crops
from edgeloop.labeling.inputs.exemplars import ExemplarFrame, Exemplars, add_frames, read_exemplars
from edgeloop.labeling.inputs.frames_folder import FramesFolder, frame_paths
from edgeloop.labeling.inputs.plan import LITE0, MOVING, LabelPlan
from edgeloop.labeling.motion.background import Background, learn_background
from edgeloop.models.errors import DataError, UsageError

__all__ = ["LabelInputs", "read_inputs"]

_MOST_LEARNED = 200  # frames; all of them are in memory while detectors learn


@dataclass(frozen=True, slots=True)
class LabelInputs:
    """Inputs of a labeling job.

    Attributes:
        drawn: Frames with a person's boxes, which are kept as they are.
        exemplars: Boxed frames, from which detectors learn; or crops or only the names of the classes, for
            what moves.
        background: Background model of a fixed camera; None with boxed frames.
        confidence: Minimum label score, in [0, 1].
    """

    drawn: Sequence[ExemplarFrame]
    exemplars: Exemplars
    background: Background | None
    confidence: float

    def digests(self) -> dict[str, str]:
        """sha256 of each input; "" for None."""
        return {
            "exemplars": replace(self.exemplars, frames=tuple(self.drawn)).digest(),
            "background": "" if self.background is None else self.background.digest,
        }


def read_inputs(
    plan: LabelPlan,
    frames: FramesFolder,
    entries: Sequence[FrameEntry],
    corrected: tuple[Sequence[str], Sequence[ExemplarFrame]] | None = None,
) -> LabelInputs:
    """Read the inputs that a plan names, and learn the background from the frames.

    Args:
        plan: Settings of the job.
        frames: Folder of the frames.
        entries: The frames.
        corrected: Class names and frames that a person corrected.

    Raises:
        NoInputError: There are no exemplars, or too few frames to learn a background from.
        DataError: One of them cannot be used, or there are no boxed frames and the camera is not fixed.
        UsageError: An option does not fit the exemplars, or class names are given to a classifier that reads
            none.
    """
    exemplars = _exemplars(plan, frames)
    if corrected is not None:
        exemplars = _add_corrected(exemplars, *corrected)
    given = plan.confidence
    if exemplars.frames:
        if plan.classifier != LITE0:
            raise UsageError(
                f"--classifier {plan.classifier}: detectors that learn from boxed frames name objects by "
                "themselves; leave it out, or show crops"
            )
        learned = Exemplars(exemplars.names, _choose(exemplars.frames))
        return LabelInputs(exemplars.frames, learned, None, 0.5 if given is None else given)
    if plan.weights is not None:
        raise UsageError(f"--weights {plan.weights}: no detector is trained without boxes on whole frames")
    return LabelInputs((), exemplars, _background(frames, entries), 0.3 if given is None else given)


def _add_corrected(exemplars: Exemplars, names: Sequence[str], frames: Sequence[ExemplarFrame]) -> Exemplars:
    if exemplars.crops:
        raise UsageError("--corrected: has boxes on frames, of which detectors learn; leave the crops out")
    merged = add_frames(exemplars if exemplars.frames else None, names, frames)
    if not merged.names:
        raise DataError("--corrected: there is no box of a class to label in it; add --exemplars")
    return merged


def _choose(frames: tuple[ExemplarFrame, ...]) -> tuple[ExemplarFrame, ...]:
    """Choose frames to learn from, spread evenly, with every class that is on one of them."""
    chosen = {round(row) for row in np.linspace(0, len(frames) - 1, min(len(frames), _MOST_LEARNED))}
    seen = {number for row in chosen for number in frames[row].class_id.tolist()}
    for row, frame in enumerate(frames):
        if new := set(frame.class_id.tolist()) - seen:
            chosen.add(row)
            seen |= new
    return tuple(frames[row] for row in sorted(chosen))


def _exemplars(plan: LabelPlan, frames: FramesFolder) -> Exemplars:
    if plan.exemplars is None:
        if plan.classes and not reads_text(plan.classifier):
            raise UsageError(
                f"--classes {','.join(plan.classes)}: {plan.classifier} reads no words; name a CLIP with "
                "--classifier, such as ViT-B-32:weights.pt, or show exemplars"
            )
        return Exemplars(plan.classes or (MOVING,), ())
    if holds_crops(plan.exemplars):
        return read_crops(plan.exemplars)
    return read_exemplars(plan.exemplars, frames)


def _background(frames: FramesFolder, entries: Sequence[FrameEntry]) -> Background:
    sources = {entry.source for entry in entries}
    if len(sources) > 1:
        raise DataError(
            f"{frames}: without boxes on whole frames, expected frames of one fixed camera, got those "
            f"of {len(sources)} sources; label each on its own"
        )
    return learn_background(frame_paths(frames, [entry.file for entry in entries]))
