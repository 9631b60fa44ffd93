"""Gate of a generation: its bundle against the current one, on the same held-out frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeloop.edge.scoring.coco import Scores
from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.labeling.improvement.held_out import HeldOut, detect_all, score
from edgeloop.labeling.lineage.generation import HeldOutScores

__all__ = ["Judge", "Judgment", "compare_bundles", "judge_first", "refusal"]


@dataclass(frozen=True, slots=True)
class Judgment:
    """Judgment of a generation.

    Attributes:
        old: Scores on the held-out frames of earlier generations; None if there are none.
        new: Scores on held-out frames that came with this one; None if there are none.
        refusal: Reason to keep it out of use; None if it passes.
        praise: Why it passes, in one line; "" if it does not.
    """

    old: HeldOutScores | None
    new: HeldOutScores | None
    refusal: str | None
    praise: str = ""


Judge = Callable[[Path, HeldOut], Judgment]
"""Judges a bundle on held-out frames."""


def judge_first(bundle: Path, frames: HeldOut) -> Judgment:
    """Score the first bundle, which is compared with nothing: it passed the gate of its export."""
    images = (*frames.old, *frames.new)
    own = score(images, detect_all(bundle, images, frames.names), frames.names)
    if own is None:
        return Judgment(None, None, None, "the first one; no object on its held-out frames")
    scores = _scores(images, None, own)
    return Judgment(None, scores, None, f"the first one: mAP50 {own.map50:.3f} on {len(images)} frames")


def compare_bundles(bundle: Path, parent: Path, frames: HeldOut, tolerance: float) -> Judgment:
    """Compare a bundle with its parent's on old and new held-out frames.

    Args:
        bundle: The bundle.
        parent: Bundle in use. A class that it does not know counts 0 for it.
        frames: The frames, with labels.
        tolerance: As of `refusal`.

    Raises:
        EdgeloopError: A bundle does not run, or an image cannot be read.
    """
    images = (*frames.old, *frames.new)
    found = [detect_all(each, images, frames.names) for each in (parent, bundle)]
    cut = len(frames.old)
    parts = [(frames.old, slice(0, cut)), (frames.new, slice(cut, None))]
    old, new = (
        _both(part, *(score(part, each[rows], frames.names) for each in found)) for part, rows in parts
    )
    reason = refusal(old, new, tolerance)
    return Judgment(old, new, reason, "" if reason else _praise(old, new))


def refusal(old: HeldOutScores | None, new: HeldOutScores | None, tolerance: float) -> str | None:
    """Decide whether a generation stays out of use.

    Args:
        old: Scores on old held-out frames; None if there are none.
        new: Scores on new ones; None if there are none.
        tolerance: Loss of mAP50 on old frames that is accepted: held-out frames are few, and a score on them
            moves by chance.

    Returns:
        The reason; None if it may be used.
    """
    if old is None and new is None:
        return "no object on the held-out frames, so there is nothing to compare on; add frames"
    if old is not None and old.parent is not None and old.parent - old.own > tolerance:
        return (
            f"loses {old.parent - old.own:.3f} of mAP50 {old.parent:.3f} on {old.frames} old held-out frames "
            f"(allowed: {tolerance:g})"
        )
    if new is not None and new.parent is not None and new.own <= new.parent:
        return (
            f"gains nothing on {new.frames} new held-out frames: mAP50 {new.own:.3f}, "
            f"the current one has {new.parent:.3f}"
        )
    if new is None and old is not None and old.parent is not None and old.own < old.parent:
        return (  # or small losses would add up from one generation to the next
            f"gains nothing: no object on new held-out frames, and mAP50 {old.own:.3f} on {old.frames} "
            f"old ones, the current one has {old.parent:.3f}"
        )
    return None


def _praise(old: HeldOutScores | None, new: HeldOutScores | None) -> str:
    parts = [
        f"{each.frames} {name} held-out frames: mAP50 {each.parent:.3f} to {each.own:.3f}"
        for name, each in (("new", new), ("old", old))
        if each is not None
    ]
    return "; ".join(parts)


def _both(
    images: tuple[LabeledImage, ...], parent: Scores | None, own: Scores | None
) -> HeldOutScores | None:
    return None if own is None else _scores(images, parent, own)


def _scores(images: tuple[LabeledImage, ...], parent: Scores | None, own: Scores) -> HeldOutScores:
    return HeldOutScores(
        frames=len(images),
        parent=None if parent is None else parent.map50,
        own=own.map50,
        parent_map50_95=None if parent is None else parent.map50_95,
        own_map50_95=own.map50_95,
    )
