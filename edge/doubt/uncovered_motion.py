"""Motion that no box covers, as a fixed camera shows it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.doubt.neighborhood import NEIGHBORS_S, Neighborhood, TemporalSign
from edgeloop.edge.loop.cell_changes import (
    CELL_PX,
    VISIBLE,
    change_energy,
    cover_cells,
    learn_usual,
    shrink_to_cells,
)

__all__ = ["UncoveredMotion"]

_LAG_S = 0.2
"""Shortest time in seconds between the pictures that are compared: what moves a pixel a frame shows then."""

_USUAL, _EXCEEDS = 0.75, 4.0
"""Quantile of the energies of a cell that counts as its usual one, and the multiple of it beyond which
something moved there.

Leaves, a belt, a screen move most of the time; a quarter of it is left to objects that pass. The energy of
the noise of a camera exceeds 4 times this quantile about once in a million.
"""

_LEARN_S, _LEARN_FRAMES = 20.0, 30
"""Time in seconds in which the usual energy of a cell may grow by a factor of e^0.75, and the number of
frames before the sign says something."""

_EAGER = 3.0
"""Factor by which the first frames count more than in a mean: the very first may be of a still moment."""

_MOST = 0.5
"""Share of the cells that move beyond which the camera itself moves, or the light changes."""

_MARGIN = 1.25
"""Factor by which boxes grow: edges move, and shadows."""

_OBJECT_CELLS = 4.0
"""Cells of an object as long as no box has been seen."""

_SMALLEST = 0.25
"""Smallest spot that counts, as a share of an object."""

_SIZE_SHARE = 0.02
"""Weight of a frame in the mean size of boxes."""


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    time_s: float
    small: NDArray[np.float32]
    covered: NDArray[np.bool_]


class UncoveredMotion(TemporalSign):
    """All that moves without a box, n times the usual size of an object, as n / (1 + n).

    So more motion is more doubt, also in a scene in which some things always pass that are no objects.
    Pictures a fifth of a second apart are compared cell by cell, and each cell with what is usual in it. A
    cell is covered if a box of one of the two pictures, or of a neighbor of this one, is there.
    """

    def __init__(self) -> None:
        """Start without a frame."""
        self._shape: tuple[int, ...] = ()
        self._pictures = deque[_Picture]()  # few, as each is half of the lag younger than the one before
        self._usual = np.empty((0, 0), np.float32)
        self._frames, self._at_s, self._object_cells = 0, math.inf, _OBJECT_CELLS

    def judge(self, around: Neighborhood) -> float | None:
        """Look for motion outside of the boxes, and learn what moves usually."""
        small = shrink_to_cells(around.image)
        gap_s, self._at_s = around.time_s - self._at_s, around.time_s
        if small.shape != self._shape:
            self._shape, self._frames, self._object_cells = small.shape, 0, _OBJECT_CELLS
            self._pictures.clear()
        if not 0 < gap_s <= NEIGHBORS_S:
            self._pictures.clear()
        while len(self._pictures) > 1 and around.time_s - self._pictures[1].time_s >= _LAG_S:
            self._pictures.popleft()
        earlier = self._pictures[0] if self._pictures else None
        covered = self._covered(around, (small.shape[0] // CELL_PX, small.shape[1] // CELL_PX))
        if not self._pictures or around.time_s - self._pictures[-1].time_s >= _LAG_S / 2:
            self._pictures.append(_Picture(around.time_s, small, covered))
        if earlier is None:
            return None
        energy = change_energy(small - earlier.small)
        if not self._frames:
            self._usual = np.maximum(energy, np.float32(VISIBLE / _EXCEEDS))
        self._frames += 1
        moves = energy > _EXCEEDS * self._usual
        covered = covered | earlier.covered
        value = None
        if self._frames >= _LEARN_FRAMES and moves.mean() <= _MOST:
            value = self._doubt(moves & ~covered)
        under_boxes = self._usual[covered]
        step = max(_EAGER / self._frames, gap_s / _LEARN_S)
        learn_usual(self._usual, energy, step=step, quantile=_USUAL, lowest=VISIBLE / _EXCEEDS)
        self._usual[covered] = under_boxes
        return value

    def _covered(self, around: Neighborhood, cells: tuple[int, int]) -> NDArray[np.bool_]:
        near = [each.xyxy for each in (around.before, around.found, around.after) if each is not None]
        boxes = np.concatenate(near)
        if len(around.found):
            sides = around.found.xyxy[:, 2:] - around.found.xyxy[:, :2]
            area = float(np.median(sides.prod(axis=1))) * math.prod(cells) / math.prod(around.size)
            self._object_cells += _SIZE_SHARE * (max(area, 1.0) - self._object_cells)
        return cover_cells(boxes, around.size, cells, grown=_MARGIN)

    def _doubt(self, moving: NDArray[np.bool_]) -> float:
        """Doubt by the size of all spots that are large enough: a half if it is that of one object."""
        if not moving.any():
            return 0.0
        _, _, spots, _ = cv2.connectedComponentsWithStats(moving.astype(np.uint8), connectivity=8)
        sizes = spots[1:, cv2.CC_STAT_AREA]
        objects = float(sizes[sizes >= _SMALLEST * self._object_cells].sum()) / self._object_cells
        return objects / (1 + objects)
