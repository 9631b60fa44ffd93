"""Settings of the learning beside the answers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["MOST_FRAMES", "LearningPlan"]

MOST_FRAMES = 2000
"""Largest number of frames that a first student learns from."""


class LearningPlan(BaseModel):
    """Settings of the learning.

    Attributes:
        frames: Number of frames to keep before a student learns.
        epochs: Passes of its training over the frames.
        imgsz: Side of its input, px; None to choose it from the objects.
        agreement: Minimum mAP50 of the student against the teacher's labels on later frames, in [0, 1].
        first: Training steps of a member of the teacher in its first round.
        full: Training steps of a member in all.
        look_every_s: Time from one look at the ring of the student to the next, s.
        nice: Niceness of the process that learns; higher values leave more to the answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: int = 120
    epochs: int = 15
    imgsz: int | None = None
    agreement: float = 0.8
    first: int = 45
    full: int = 150
    look_every_s: float = 3.0
    nice: int = 19
