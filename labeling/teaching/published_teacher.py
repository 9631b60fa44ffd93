"""File by which the process that learns names its teacher to those that answer."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from edgeloop.models.json_file import read_json

__all__ = ["TEACHER_FILE", "PublishedTeacher", "read_teacher"]

TEACHER_FILE = "teacher.json"
"""Name of the file in the folder of a teacher."""


class PublishedTeacher(BaseModel):
    """Teacher as one process hands it to another, FOLDER/teacher.json.

    Attributes:
        graph: Name of the ensemble's file in the folder.
        side: Long side to resize images to, px.
        shift: Shift of the calibration, log odds.
        names: Class names.
        round: Round of learning that it comes from, from 1 on.
        map50: Expected mean average precision at IoU 0.5 of its labels; None if unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    graph: str
    side: int
    shift: float
    names: tuple[str, ...]
    round: int
    map50: float | None


def read_teacher(folder: Path) -> PublishedTeacher | None:
    """Read which teacher is published; None before the first.

    Raises:
        DataError: The file is damaged.
    """
    return read_json(folder / TEACHER_FILE, PublishedTeacher, "remove it, and the teacher learns anew")
