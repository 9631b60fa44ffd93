"""Settings of a labeling job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeloop.models.task import Task

__all__ = ["LITE0", "MOVING", "LabelPlan"]

MOVING = "moving"
"""The only class of a job without exemplars and without `LabelPlan.classes`."""

LITE0 = "lite0"
"""The classifier features that ship."""


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """Settings of a labeling job.

    Attributes:
        frames: Folder of frames, or an address in object storage such as "s3://bucket/folder", as text.
        exemplars: Boxes as COCO json or YOLO text files, or folders of crops; None to label what moves.
        out: Folder of the dataset: new, or of the same job.
        corrected: Dataset that a person corrected, as of `read_corrected`; its boxes are kept as they are.
        decisions: Decisions of a person in `edgeloop studio`, decisions.jsonl; they win over what is found.
        classes: Names of what moves, without exemplars; `classifier` must be able to read them. Empty for the
            one class `MOVING`.
        classifier: Features that tell classes apart: "lite0", which ships, or MODEL:WEIGHTS of timm's DINO
            or of open_clip.
        sam: Name or path of the segmenter.
        device: Processor that trains the detectors and runs the segmenter, "cpu" or "cuda".
        offline: Never download a checkpoint.
        weights: Start weights of the detectors, as of `edgeloop train --weights`; only with boxes on frames.
        confidence: Minimum label score, in [0, 1]. Higher values give fewer wrong labels but miss more. None
            for 0.5, or 0.3 without boxes on frames.
        footage: Kind of the frames: "film" or "photos"; "auto" decides by the pictures and their times.
        val_share: Share of the frames that becomes val.
        gap_share: Share of each recording left out between train and val.
        seed: Random seed.
        task: What labels/ of the dataset holds: boxes, or for "segment" polygons of the masks. A dataset in
            `out` that has the same labels for the other task is written again.
        splits: File of the part of each frame, by which it stays in train or val from one job to the next;
            parts of new frames are added. None to split all frames anew.
        left_out: Names of frames that are labeled and split, but left out of the dataset.
        most_missing: Largest number of objects that may be expected to be missing, by the probabilities of
            unsure labels, as a share of the labels of a frame; with more than that and than one object, the
            frame is left out of the dataset until a person decides on it. None keeps every frame.
        kept: Folder that keeps what was learned and labeled, so that the next job with the same exemplars and
            settings labels new frames only; None to keep it only while a job is unfinished.
        workers: As `Workers.count`. The result does not depend on it.
        ray: Address of a Ray cluster that labels, or "auto" for the one that runs on this machine.
    """

    frames: Path | str
    exemplars: Path | None
    out: Path
    corrected: Path | None = None
    decisions: Path | None = None
    classes: tuple[str, ...] = ()
    classifier: str = LITE0
    sam: str = "nano"
    device: Literal["cpu", "cuda"] = "cpu"
    offline: bool = False
    weights: str | None = None
    confidence: float | None = None
    footage: Literal["auto", "film", "photos"] = "auto"
    val_share: float = 0.2
    gap_share: float = 0.05
    seed: int = 0
    task: Task = "detect"
    splits: Path | None = None
    left_out: frozenset[str] = frozenset()
    most_missing: float | None = None
    kept: Path | None = None
    workers: int | None = None
    ray: str | None = None
