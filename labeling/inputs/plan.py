"""What is to be labeled, and how: all that a person decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeloop.labeling.features.embedding import LITE0

__all__ = ["MOVING", "LabelPlan"]

MOVING = "moving"
"""The one class where nobody drew exemplars."""


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """What to label, and how.

    Attributes:
        frames: Folder of frames.
        exemplars: The person's boxes, COCO json or YOLO text files, or folders of crops; None to label
            what moves.
        classes: Without exemplars, what moves is called, in words that `classifier` reads; none for `MOVING`.
        classifier: Features that tell classes apart: "lite0", which ships, or MODEL:WEIGHTS of open_clip.
        out: Folder of the dataset; must not exist.
        sam: Name or path of the segmenter.
        offline: Never reach out for a checkpoint.
        prompts: Names of the prompters; "motion" alone where there are no exemplars.
        detector: A bundle, for the prompter "detector": trained on the labels of a first pass.
        confidence: Least score of a label, in [0, 1].
        val_share: Share of the frames that become val.
        gap_share: Share of the frames between train and val that nobody sees.
        seed: Of everything that is learned.
    """

    frames: Path
    exemplars: Path | None
    out: Path
    classes: tuple[str, ...] = ()
    classifier: str = LITE0
    sam: str = "nano"
    offline: bool = False
    prompts: tuple[str, ...] = ("similar",)
    detector: Path | None = None
    confidence: float = 0.3
    val_share: float = 0.2
    gap_share: float = 0.05
    seed: int = 0
