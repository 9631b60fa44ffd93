"""Problems of labels, counted by kind."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from edgeloop.models.errors import DataError

__all__ = ["TOLERATED", "LabelProblem", "LabelProblems"]

log = logging.getLogger(__name__)

TOLERATED = {
    "duplicate": "labels are given twice and count once",
    "polygon": "polygons are read as their boxes",
    "score_column": "lines have a score after the label, which is ignored",
    "clipped": "boxes reach beyond the image and end at its edge",
    "empty_box": "boxes have no area and are left out",
    "dangling_link": "images are links to nothing and are left out",
    "image_twice": "images are listed twice and count once",
    "class_without_label": "classes have no label",
    "incomplete": "frames are marked as not complete and are left out",
    "crowd_with_one_mask": "iscrowd labels have one mask and are read as one object",
    "unfit_mask": "masks are malformed, or elsewhere than their boxes, which alone count",
}
"""Descriptions of tolerated problems by kind; each follows a number."""


@dataclass(slots=True)
class LabelProblem:
    """All problems of one kind.

    Attributes:
        count: Number of labels, lines or files.
        first: Place of the first one; of what is refused, the whole message.
        refused: True if other commands refuse it.
    """

    count: int
    first: str
    refused: bool


class LabelProblems:
    """Problems of one reading.

    Attributes:
        by_kind: Problems in the order of their first occurrence.
    """

    def __init__(self, *, strict: bool = True) -> None:
        """Start without problems.

        Args:
            strict: Raise DataError for what cannot be used, instead of counting it.
        """
        self.by_kind: dict[str, LabelProblem] = {}
        self._strict = strict

    def note(self, kind: str, place: str) -> None:
        """Count something that is read nevertheless, of a kind in `TOLERATED`."""
        self._add(kind, place, refused=False)

    def refuse(self, kind: str, message: str) -> None:
        """Raise DataError in a strict reading; otherwise count it."""
        if self._strict:
            raise DataError(message)
        self._add(kind, message, refused=True)

    def warn(self, name: str) -> None:
        """Log one line for each kind that is read nevertheless."""
        for kind, problem in self.by_kind.items():
            if not problem.refused:
                log.warning("%s: %d %s (first: %s)", name, problem.count, TOLERATED[kind], problem.first)

    def _add(self, kind: str, place: str, *, refused: bool) -> None:
        known = self.by_kind.setdefault(kind, LabelProblem(0, place, refused))
        known.count += 1
