"""Place of the static edges of a view: where they fit best says if the camera was moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EdgeFit", "StaticEdges"]

_STILL = 1  # cells: what trembles by no more is at its place
_REACH = 0.35  # share of the map by which it may be shifted
_LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class EdgeFit:
    """Fit of a frame's edges to those of the view.

    Attributes:
        here: Correlation at their place, -1 to 1.
        best: Highest correlation at any place.
        shift: Shares of width and height by which the frame is shifted, to the right and down, at the best.
    """

    here: float
    best: float
    shift: tuple[float, float]

    @property
    def moved(self) -> bool:
        """True if the edges fit better elsewhere than at their place."""
        return self.best > self.here


class StaticEdges:
    """Edges that stay where they are in the frames of a view."""

    def __init__(self, edges: NDArray[np.float32]) -> None:
        """Take the mean edges of the view, float32 (2, h, w)."""
        _, height, width = edges.shape
        self._size = (height, width)
        self._padded = (2 * height, 2 * width)
        self._edges = np.conj(np.fft.rfft2(edges, self._padded))
        self._energy = np.conj(np.fft.rfft2((edges * edges).sum(axis=0), self._padded))
        self._inside = np.fft.rfft2(np.ones((height, width)), self._padded)
        self._reach = (int(height * _REACH), int(width * _REACH))
        # The energy of the view's edges that a frame at each shift covers does not depend on the frame.
        self._covered = self._around(self._inside * self._energy)

    def fit(self, edges: NDArray[np.float32]) -> EdgeFit:
        """Compare the edges of a frame, float32 (2, h, w), at every shift."""
        products = (np.fft.rfft2(edges, self._padded) * self._edges).sum(axis=0)
        energy = np.fft.rfft2((edges * edges).sum(axis=0), self._padded) * np.conj(self._inside)
        scale = np.sqrt(np.maximum(self._covered * self._around(energy), _LEAST))
        fits = self._around(products) / scale
        down, right = self._reach
        still = fits[down - _STILL : down + _STILL + 1, right - _STILL : right + _STILL + 1]
        row, column = np.unravel_index(int(fits.argmax()), fits.shape)
        height, width = self._size
        shift = ((int(column) - right) / width, (int(row) - down) / height)
        return EdgeFit(float(still.max()), float(fits.max()), shift)

    def _around(self, spectrum: NDArray[np.complexfloating]) -> NDArray[np.float64]:
        """Values at the shifts within reach, from up and left to down and right."""
        values = np.fft.irfft2(spectrum, self._padded)
        down, right = self._reach
        rolled = np.roll(values, (down, right), axis=(0, 1))
        return np.asarray(rolled[: 2 * down + 1, : 2 * right + 1], np.float64)
