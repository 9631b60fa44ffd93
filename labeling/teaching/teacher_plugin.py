"""Teacher of a loop as a model file that a worker of `edgeloop serve` opens."""

from __future__ import annotations

from pathlib import Path

from edgeloop.edge.runtime.frame_detector import FrameDetector
from edgeloop.labeling.teaching.published_teacher import read_teacher
from edgeloop.labeling.teaching.teacher_detector import TeacherDetector
from edgeloop.models.errors import NoInputError

__all__ = ["open_teacher"]

_CONFIDENCE = 0.25  # minimum, as of `edgeloop teach`
_THREADS = 1  # the learning needs the other cores


def open_teacher(path: Path, threads: int | None, confidence: float | None) -> FrameDetector:
    """Open the teacher of a loop in a worker, the plug-in `teacher` of the group `edgeloop.detectors`.

    Args:
        path: LOOP/teacher/teacher.json.
        threads: CPU threads of one inference; None for one.
        confidence: Minimum confidence, exclusive; None for that of `edgeloop teach`.

    Raises:
        NoInputError: There is no such teacher.
        DataError: It is damaged.
    """
    teacher = read_teacher(path.parent)
    if teacher is None:
        raise NoInputError(f"{path}: no such file; expected a teacher that `edgeloop teach` made")
    return TeacherDetector.open(
        path.parent,
        teacher,
        confidence=_CONFIDENCE if confidence is None else confidence,
        threads=threads or _THREADS,
    )
