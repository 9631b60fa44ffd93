"""Empty places: nothing where something usually is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.doubt.neighborhood import Neighborhood, TemporalSign
from edgeloop.edge.loop.cell_changes import cover_cells

__all__ = ["EmptyPlaces"]

_CELLS = 40
"""Cells along the longer side of the picture."""

_LEARN_S, _FIRST_S = 60.0, 10.0
"""Time in seconds over which occupation is averaged, and after which it is known for the first time. Of an
object that left for good, the doubt has gone after 0.7 times the first."""

_LONGEST_STEP_S = 1.0
"""Longest time in seconds for which one frame stands."""

_CORE, _REACH = 0.5, 1.25
"""Part of a box that occupies a place, and the part that keeps it from being empty: boxes jitter."""


class EmptyPlaces(TemporalSign):
    """Occupation of each place, learned slowly, whatever the class.

    A place that is occupied most of the time and has no box now is in doubt: from 0, if it is occupied half
    of the time, to 1, if always.
    """

    def __init__(self) -> None:
        """Start without a frame."""
        self._size, self._known_s, self._at_s = (0, 0), 0.0, math.inf
        self._occupied = np.empty((0, 0), np.float32)

    def judge(self, around: Neighborhood) -> float | None:
        """Look for boxes in the places that are usually occupied, and learn."""
        if around.size != self._size:
            self._size, self._known_s, self._occupied = around.size, 0.0, _unoccupied(around.size)
        step_s = around.time_s - self._at_s
        self._at_s = around.time_s
        step_s = min(step_s, _LONGEST_STEP_S) if step_s > 0 else 0.0
        rows, columns = self._occupied.shape
        boxes = around.found.xyxy
        value = None
        if self._known_s >= _FIRST_S:
            covered = cover_cells(boxes, self._size, (rows, columns), grown=_REACH)
            empty = float(np.where(covered, np.float32(0), self._occupied).max())
            value = max(0.0, 2 * empty - 1)
        self._known_s += step_s
        cores = cover_cells(boxes, self._size, (rows, columns), grown=_CORE)
        share = step_s / min(self._known_s, _LEARN_S) if step_s else 0.0
        self._occupied += np.float32(share) * (cores - self._occupied)
        return value


def _unoccupied(size: tuple[int, int]) -> NDArray[np.float32]:
    columns, rows = (max(round(_CELLS * side / max(size)), 1) for side in size)
    return np.zeros((rows, columns), np.float32)
