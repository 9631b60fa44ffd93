"""Prompters: boxes and points at which SAM is asked for a mask."""

from __future__ import annotations

from collections.abc import Sequence

from edgeloop.labeling.prompts.from_motion import MotionPrompter
from edgeloop.labeling.prompts.grid import GridPrompter
from edgeloop.labeling.prompts.prompter import Prompter
from edgeloop.models.errors import UsageError

__all__ = ["DETECTOR", "GridPrompter", "MotionPrompter", "Prompter", "check_prompters"]

DETECTOR = "detector"
"""Name in `--prompts` of the engine, which is no prompter: it finds, names and scores objects by itself."""

_NAMES = (DETECTOR, MotionPrompter.name, GridPrompter.name)


def check_prompters(names: Sequence[str], *, boxed_frames: bool) -> None:
    """Check the names of prompters.

    Args:
        names: Names given.
        boxed_frames: True if there are exemplar frames with boxes.

    Raises:
        UsageError: A name is unknown or given twice, there is none, or "detector" is not alone or has no
            exemplar frame.
    """
    if not names or len(set(names)) < len(names) or not set(names) <= set(_NAMES):
        raise UsageError(f"--prompts {','.join(names)}: expected some of {', '.join(_NAMES)}, each once")
    if DETECTOR in names and len(names) > 1:
        raise UsageError(
            f"--prompts {','.join(names)}: the detector finds objects by itself; name it alone, or the others"
        )
    if DETECTOR in names and not boxed_frames:
        raise UsageError(
            "--prompts detector: needs boxes on whole frames (-e); without them name motion (for a fixed "
            "camera) or grid (everywhere)"
        )
