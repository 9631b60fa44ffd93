"""Prompters: boxes and points at which SAM is asked for a mask."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from edgeloop.labeling.candidates.exemplar_masks import ExemplarMasks
from edgeloop.labeling.motion.background import Background
from edgeloop.labeling.prompts.from_detector import DetectorPrompter
from edgeloop.labeling.prompts.from_motion import MotionPrompter
from edgeloop.labeling.prompts.grid import GridPrompter
from edgeloop.labeling.prompts.prompter import Prompter
from edgeloop.labeling.prompts.propagate import PropagatePrompter
from edgeloop.labeling.prompts.similar import TRAINING_STEPS, SimilarPrompter
from edgeloop.models.errors import UsageError

__all__ = [
    "TRAINING_STEPS",
    "DetectorPrompter",
    "GridPrompter",
    "MotionPrompter",
    "Prompter",
    "PropagatePrompter",
    "SimilarPrompter",
    "check_prompters",
    "open_prompters",
]

_NAMES = (
    SimilarPrompter.name,
    MotionPrompter.name,
    DetectorPrompter.name,
    PropagatePrompter.name,
    GridPrompter.name,
)


def check_prompters(names: Sequence[str], exemplar_frames: Collection[object]) -> None:
    """Check the names of prompters against the frames with boxes on them.

    Raises:
        UsageError: A name is unknown or given twice, there is none, "propagate" is alone, or "similar" has
            no exemplar frame.
    """
    if not names or len(set(names)) < len(names) or not set(names) <= set(_NAMES):
        raise UsageError(f"--prompts {','.join(names)}: expected some of {', '.join(_NAMES)}, each once")
    if set(names) == {PropagatePrompter.name}:
        raise UsageError(
            "--prompts propagate: carries boxes on from frame to frame, but none finds the first; name "
            "another beside it, as in similar,propagate"
        )
    if SimilarPrompter.name in names and not exemplar_frames:
        raise UsageError(
            "--prompts similar: needs boxes on whole frames (-e); without them name motion (for a fixed "
            "camera) or grid (everywhere)"
        )


def open_prompters(
    names: Sequence[str],
    frames: Sequence[ExemplarMasks],
    classes: int,
    background: Background | None = None,
    detector: DetectorPrompter | None = None,
    *,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Prompter]:
    """Create the prompters, one for each name, and train those that learn.

    Args:
        names: Names that `check_prompters` accepts.
        frames: Exemplar frames.
        classes: Number of classes to label.
        background: Background model; needed for "motion".
        detector: Detector of an earlier pass; needed for "detector".
        seed: Random seed.
        advance: Called with the number of steps done, `TRAINING_STEPS` in all for "similar".

    Raises:
        UsageError: The background or the detector that one needs is missing.
    """

    def motion() -> Prompter:
        if background is None:
            raise UsageError("motion: needs a background")
        return MotionPrompter(background)

    def found() -> Prompter:
        if detector is None:
            raise UsageError("detector: needs a bundle")
        return detector

    factories: dict[str, Callable[[], Prompter]] = {
        SimilarPrompter.name: lambda: SimilarPrompter.fit(frames, classes, seed=seed, advance=advance),
        MotionPrompter.name: motion,
        DetectorPrompter.name: found,
        PropagatePrompter.name: lambda: PropagatePrompter(classes),
        GridPrompter.name: GridPrompter,
    }
    return [factories[name]() for name in names]
