"""Inputs of a labeling job: exemplars and background model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.features.embedders import reads_text
from edgeloop.labeling.inputs.crops import holds_crops, read_crops
from edgeloop.labeling.inputs.exemplars import Exemplars, read_exemplars
from edgeloop.labeling.inputs.plan import LITE0, MOVING, LabelPlan
from edgeloop.labeling.motion.background import Background, learn_background
from edgeloop.labeling.prompts import DETECTOR, MotionPrompter, check_prompters
from edgeloop.models.errors import DataError, UsageError

__all__ = ["LabelInputs", "read_inputs"]


@dataclass(frozen=True, slots=True)
class LabelInputs:
    """Inputs of a labeling job.

    Attributes:
        exemplars: Boxed frames or crops, or only the names of the classes.
        background: Background model of a fixed camera; None if the prompter "motion" is not used.
    """

    exemplars: Exemplars
    background: Background | None

    def digests(self) -> dict[str, str]:
        """sha256 of each input; "" for None."""
        boxes = hashlib.sha256("\0".join(self.exemplars.names).encode())
        for frame in self.exemplars.frames:
            boxes.update(frame.path.read_bytes() + frame.xyxy.tobytes() + frame.class_id.tobytes())
        for crop in self.exemplars.crops:
            boxes.update(crop.path.read_bytes() + str(crop.class_id).encode())
        return {
            "exemplars": boxes.hexdigest(),
            "background": "" if self.background is None else self.background.digest,
        }


def read_inputs(plan: LabelPlan, entries: Sequence[FrameEntry]) -> LabelInputs:
    """Read the inputs that a plan names, and learn the background from the frames.

    Raises:
        NoInputError: There are no exemplars, or too few frames to learn a background from.
        DataError: One of them cannot be used, or "motion" is used and the camera is not fixed.
        UsageError: There is no such prompter, prompters do not fit each other or the exemplars, or class
            names are given to a classifier that reads none.
    """
    exemplars = _exemplars(plan)
    check_prompters(plan.prompts, boxed_frames=bool(exemplars.frames))
    if DETECTOR in plan.prompts and plan.classifier != LITE0:
        raise UsageError(
            f"--classifier {plan.classifier}: the detector names objects by itself; a classifier is for "
            "--prompts motion or grid"
        )
    if DETECTOR not in plan.prompts and plan.weights is not None:
        raise UsageError(f"--weights {plan.weights}: no detector is trained with --prompts motion or grid")
    return LabelInputs(exemplars, _background(plan, entries))


def _exemplars(plan: LabelPlan) -> Exemplars:
    if plan.exemplars is None:
        if plan.classes and not reads_text(plan.classifier):
            raise UsageError(
                f"--classes {','.join(plan.classes)}: {plan.classifier} reads no words; name a CLIP with "
                "--classifier, such as ViT-B-32:weights.pt, or show exemplars"
            )
        return Exemplars(plan.classes or (MOVING,), ())
    if holds_crops(plan.exemplars):
        if MotionPrompter.name not in plan.prompts:
            raise UsageError(
                f"{plan.exemplars}: crops show what things look like, not where they are; add "
                "--prompts motion (for a fixed camera), or draw boxes on whole frames"
            )
        return read_crops(plan.exemplars)
    return read_exemplars(plan.exemplars, plan.frames)


def _background(plan: LabelPlan, entries: Sequence[FrameEntry]) -> Background | None:
    if plan.exemplars is not None and MotionPrompter.name not in plan.prompts:
        return None
    sources = {entry.source for entry in entries}
    if len(sources) > 1:
        raise DataError(
            f"{plan.frames}: motion needs the frames of one fixed camera, got those of {len(sources)} "
            "sources; label each on its own"
        )
    return learn_background([plan.frames / entry.file for entry in entries])
