"""Settings of mining, and those that follow from the loop that a ring is in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeloop.edge.ring.ring_database import IMAGES
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.lineage.loop_folder import LOOP_FILE, LoopFolder
from edgeloop.models.errors import UsageError

__all__ = ["MinePlan", "label_plan", "loop_of"]


@dataclass(frozen=True, slots=True)
class MinePlan:
    """Settings of mining.

    Attributes:
        ring: Folder of the ring.
        exemplars: A person's boxes, as of `LabelPlan`; None for those of the loop that the ring is in.
        out: Folder for what is found; None for LOOP/mined, or RING.mined without a loop.
        top: Number of frames of the ranked share to look at; None for all.
        sam: Segmenter; None for that of the loop, or nano.
        device: Processor that learns and labels; None for that of the loop, or the CPU.
        offline: Never download a checkpoint.
        confidence: Minimum label score; None for that of the loop, or 0.5.
        seed: Random seed; None for that of the loop, or 0.
        workers: As of `LabelPlan`.
        ray: As of `LabelPlan`.
    """

    ring: Path
    exemplars: Path | None = None
    out: Path | None = None
    top: int | None = None
    sam: str | None = None
    device: Literal["cpu", "cuda"] | None = None
    offline: bool = False
    confidence: float | None = None
    seed: int | None = None
    workers: int | None = None
    ray: str | None = None


def loop_of(ring: Path) -> LoopFolder | None:
    """Loop that a ring is the device's part of; None if it is in none."""
    root = ring.resolve().parent
    return LoopFolder.open(root) if (root / LOOP_FILE).is_file() else None


def label_plan(plan: MinePlan, loop: LoopFolder | None) -> LabelPlan:
    """Make the plan by which the teacher learns; `out` is the folder of what mining finds.

    Raises:
        UsageError: The ring is in no loop and `plan.exemplars` is None; or in one, and `plan.out` is given.
    """
    if loop is None and plan.exemplars is None:
        raise UsageError(
            f"{plan.ring}: is in no loop, so nothing says what to look for; show it with -e EXEMPLARS"
        )
    if loop is not None and plan.out is not None:
        raise UsageError(
            f"-o {plan.out}: {loop.root} reads decisions on frames in {loop.mined}; leave -o out"
        )
    resolved = plan.ring.resolve()
    out = plan.out or (resolved.with_name(resolved.name + ".mined") if loop is None else loop.mined)
    settings = None if loop is None else loop.settings
    confidence = settings.confidence if settings is not None and plan.confidence is None else plan.confidence
    return LabelPlan(
        frames=plan.ring / IMAGES,
        exemplars=plan.exemplars or (None if loop is None else loop.exemplars),
        out=out,
        sam=plan.sam or (settings.sam if settings else "nano"),
        device=plan.device or (settings.device if settings else "cpu"),
        offline=plan.offline,
        confidence=confidence,
        seed=plan.seed if plan.seed is not None else settings.seed if settings else 0,
    )
