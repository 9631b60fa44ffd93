"""Where SAM is asked to look: several prompters behind one protocol, each switchable and measurable alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labeling.background import Background
from labeling.outlined import OutlinedFrame
from labeling.prompts.carried import CarriedPrompter
from labeling.prompts.detector import DetectorPrompter
from labeling.prompts.grid import GridPrompter
from labeling.prompts.motion import MotionPrompter
from labeling.prompts.prompt import Prompter, Prompts
from labeling.prompts.similar import TRAINING_STEPS, SimilarPrompter
from models.errors import UsageError

__all__ = [
    "TRAINING_STEPS",
    "CarriedPrompter",
    "DetectorPrompter",
    "GridPrompter",
    "MotionPrompter",
    "Prompter",
    "Prompts",
    "SimilarPrompter",
    "open_prompters",
]


def open_prompters(
    names: Sequence[str],
    frames: Sequence[OutlinedFrame],
    classes: int,
    background: Background | None = None,
    detector: DetectorPrompter | None = None,
    *,
    seed: int = 0,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[Prompter]:
    """Make prompters ready.

    Args:
        names: Any of "similar", "motion", "detector", "carried" and "grid", each at most once; not "carried"
            alone, for then there is nothing to carry.
        frames: What to look for; without any there is no "similar".
        classes: Number of classes to label.
        background: What the camera sees where nothing moves; needed for "motion".
        detector: Of an earlier pass; needed for "detector".
        seed: Of what is learnt.
        advance: Called with the number of steps done, `TRAINING_STEPS` in all for "similar".

    Returns:
        One prompter for each name.

    Raises:
        UsageError: A name is unknown or given twice, there is none, or what it needs is missing.
    """

    def similar() -> Prompter:
        if not frames:
            raise UsageError(
                "--prompts similar: needs boxes on whole frames (-e); without them name motion (for a "
                "fixed camera) or grid (everywhere)"
            )
        return SimilarPrompter.fit(frames, classes, seed=seed, advance=advance)

    def motion() -> Prompter:
        if background is None:
            raise UsageError("motion: needs a background")
        return MotionPrompter(background)

    def found() -> Prompter:
        if detector is None:
            raise UsageError("detector: needs a bundle")
        return detector

    factories: dict[str, Callable[[], Prompter]] = {
        "similar": similar,
        "motion": motion,
        "detector": found,
        "carried": lambda: CarriedPrompter(classes),
        "grid": GridPrompter,
    }
    if not names or len(set(names)) < len(names) or not set(names) <= factories.keys():
        raise UsageError(f"--prompts {','.join(names)}: expected some of {', '.join(factories)}, each once")
    if set(names) == {CarriedPrompter.name}:
        raise UsageError(
            "--prompts carried: carries boxes on from frame to frame, but none finds the first; name another "
            "beside it, as in similar,carried"
        )
    return [factories[name]() for name in names]
