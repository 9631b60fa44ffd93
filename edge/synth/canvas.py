"""Canvas on which an object is drawn in its own coordinates, at any rotation."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeloop.edge.synth.relief import F32, cloud

__all__ = ["Canvas"]

_SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class Canvas:
    """Canvas with part coordinates (u, v), units, origin at the middle, rotated against the image by `angle`.

    The rotated shape is drawn, instead of rotating an image of it, so that the light keeps its direction.

    Attributes:
        u: Part coordinate along the object at each pixel, float32 (H, W).
        v: Part coordinate across the object at each pixel, float32 (H, W).
        angle: Rotation in radians, image x towards image y.
        scale: Pixels per unit.
    """

    u: F32
    v: F32
    angle: float
    scale: float

    @classmethod
    def around(cls, radius: float, angle: float, scale: float, multiple: int = 1) -> Canvas:
        """Create a canvas that holds a circle.

        Args:
            radius: Radius of the circle, units.
            angle: Rotation of the object, radians.
            scale: Pixels per unit.
            multiple: The canvas is twice a multiple of this many pixels wide, for shrinking it evenly.

        Returns:
            The canvas, with the origin in the middle between its four central pixels.
        """
        half = int(np.ceil(radius * scale / multiple)) * multiple
        middle = (np.arange(2 * half, dtype=np.float32) - np.float32(half - 0.5)) / np.float32(scale)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        u = cos * middle[None, :] + sin * middle[:, None]
        v = cos * middle[:, None] - sin * middle[None, :]
        return cls(u, v, angle, scale)

    @classmethod
    def sheet(cls, columns: int, rows: int, scale: float) -> Canvas:
        """Create an unrotated canvas of a given size in pixels, at `scale` pixels per unit."""
        u = (np.arange(columns, dtype=np.float32) - np.float32((columns - 1) / 2)) / np.float32(scale)
        v = (np.arange(rows, dtype=np.float32) - np.float32((rows - 1) / 2)) / np.float32(scale)
        return cls(np.tile(u, (rows, 1)), np.tile(v[:, None], (1, columns)), 0.0, scale)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return self.u.shape[0], self.u.shape[1]

    def polygon(self, points_uv: ArrayLike) -> F32:
        """Draw the coverage of a filled polygon, float32 (H, W) in [0, 1]; corners (N, 2) in units."""
        filled = np.zeros(self.shape, dtype=np.uint8)
        cv2.fillPoly(filled, [self._to_pixels(points_uv)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
        return filled.astype(np.float32) / np.float32(255)

    def stroke(self, points_uv: ArrayLike, width: float) -> F32:
        """Draw the coverage of a line, float32 (H, W) in [0, 1]; points (N, 2) and width in units."""
        pixels = self._to_pixels(points_uv)
        drawn = np.zeros(self.shape, dtype=np.uint8)
        thickness = max(1, round(width * self.scale))
        cv2.polylines(drawn, [pixels], False, 255, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
        return drawn.astype(np.float32) / np.float32(255)

    def disc(self, center_uv: tuple[float, float], radius: float) -> F32:
        """Draw the coverage of a disc, float32 (H, W) in [0, 1]; center and radius in units."""
        u, v = (np.float32(at) for at in center_uv)
        return self.edge(np.float32(radius) - np.hypot(self.u - u, self.v - v))

    def box(self, center_uv: tuple[float, float], size_uv: tuple[float, float], rounding: float = 0.0) -> F32:
        """Draw the coverage of a box with rounded corners, float32 (H, W) in [0, 1]; lengths in units."""
        du = np.abs(self.u - np.float32(center_uv[0])) - np.float32(size_uv[0] / 2 - rounding)
        dv = np.abs(self.v - np.float32(center_uv[1])) - np.float32(size_uv[1] / 2 - rounding)
        outside = np.hypot(np.maximum(du, 0), np.maximum(dv, 0))
        return self.edge(rounding - outside - np.minimum(np.maximum(du, dv), 0))

    def edge(self, inside: NDArray[np.floating]) -> F32:
        """Compute coverage from a signed distance in units, positive inside, with an edge one pixel wide."""
        coverage: F32 = np.clip(inside * self.scale + 0.5, 0, 1).astype(np.float32, copy=False)
        return coverage

    def depth(self, coverage: F32) -> F32:
        """Compute the distance of each pixel from the edge of a shape, float32 (H, W), units; 0 outside."""
        solid = (coverage >= 0.5).astype(np.uint8)
        distance: F32 = cv2.distanceTransform(solid, cv2.DIST_L2, 5)
        # Distances are between pixels: a light blur takes the staircase out of slanted edges.
        smooth: F32 = cv2.GaussianBlur(distance, (0, 0), 0.8)
        return smooth / np.float32(self.scale)

    def cloud(self, rng: np.random.Generator, grain: float) -> F32:
        """Draw a smooth random field, float32 (H, W), about standard normal; grain in units."""
        return cloud(rng, self.shape, grain * self.scale)

    def _to_pixels(self, points_uv: ArrayLike) -> NDArray[np.int32]:
        points = np.asarray(points_uv, dtype=np.float64)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        x = cos * points[:, 0] - sin * points[:, 1]
        y = sin * points[:, 0] + cos * points[:, 1]
        middle = (np.array(self.shape[::-1]) - 1) / 2
        pixels = np.stack((x, y), axis=1) * self.scale + middle
        return np.rint(pixels * (1 << _SUBPIXEL_BITS)).astype(np.int32)
