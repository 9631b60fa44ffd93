"""Static frame of the conveyor: aluminum profiles, guide strips, screws, a light barrier."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.synth.canvas import Canvas
from edgeloop.edge.synth.relief import F32, Finish, Light, Relief, cast_shadow, cloud, pick, shade

__all__ = ["RAIL_HEIGHT", "RAIL_WIDTH", "rail"]

RAIL_WIDTH = 56.0  # units of each rail at the upper and the lower edge of the picture
RAIL_HEIGHT = 15.0  # units of the guide strip above the belt

# Cross-sections: units from the outer edge (0) to the belt (RAIL_WIDTH), and height above the belt.
_PROFILE_AT = (8.0, 9.5, 22.0, 23.0, 27.0, 28.0, 40.5, 42.0)
_PROFILE_UP = (8.0, 10.0, 10.0, 5.0, 5.0, 10.0, 10.0, 8.0)
_GUIDE_AT = (44.0, 46.0, 53.5, 56.0)
_GUIDE_UP = (12.0, RAIL_HEIGHT, RAIL_HEIGHT, 9.0)

# Linear BGR.
_GUIDES = ((0.03, 0.03, 0.03), (0.08, 0.22, 0.04), (0.55, 0.58, 0.58))
_BOXES = ((0.03, 0.03, 0.03), (0.02, 0.45, 0.70), (0.35, 0.12, 0.03))


def rail(
    rng: np.random.Generator, light: Light, width: float, scale: float, lower: bool
) -> NDArray[np.uint8]:
    """Draw one rail over the whole width of the image.

    Args:
        rng: Random generator of what is mounted on it.
        light: Light of the scene.
        width: Width of the image, units.
        scale: Frame pixels per unit.
        lower: True for the rail below the belt, False for the one above.

    Returns:
        uint8 (round(RAIL_WIDTH * scale), round(width * scale), 3), BGR.
    """
    rows, columns = round(RAIL_WIDTH * scale), round(width * scale)
    shrink = max(1, round(2.0 / scale))
    canvas = Canvas.sheet(columns * shrink, rows * shrink, scale * shrink)
    side = -1 if lower else 1
    across = canvas.v * np.float32(side) + np.float32(RAIL_WIDTH / 2)
    grime = cloud(rng, canvas.shape, 9 * canvas.scale)

    picture = (10 + 2 * grime)[..., None] * np.ones(3, dtype=np.float32)  # the floor, out of the light
    mounted = (
        _profile(rng, canvas, across, grime),
        _guide(rng, canvas, across, grime),
        _screws(rng, canvas, width, side),
        *_barrier(rng, canvas, width, side),
    )
    for relief in mounted:
        shadow = 0.7 * cast_shadow(relief.coverage, relief.height, light, canvas.scale)
        below = picture * ((1 - relief.coverage) * (1 - shadow))[..., None]
        picture = below + shade(relief, light, canvas.scale) * relief.coverage[..., None]
    seen: F32 = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def _profile(rng: np.random.Generator, canvas: Canvas, across: F32, grime: F32) -> Relief:
    """Draw the extruded aluminum profile with its slot."""
    coverage = canvas.edge(across - _PROFILE_AT[0]) * canvas.edge(_PROFILE_AT[-1] - across)
    lines = np.interp(across, np.arange(0, 60, 0.4), rng.normal(0, 0.03, 150))
    height = np.interp(across, _PROFILE_AT, _PROFILE_UP) + lines
    albedo = (0.95 + 0.03 * grime) * np.array((0.62, 0.61, 0.60), np.float32)[:, None, None]
    tilt = (0.0, float(rng.normal(0, 0.04)))
    return Relief.of(coverage, coverage * height, albedo, Finish(0.9, 0.35, tilt))


def _guide(rng: np.random.Generator, canvas: Canvas, across: F32, grime: F32) -> Relief:
    """Draw the plastic strip along the belt, scuffed by parts."""
    coverage = canvas.edge(across - _GUIDE_AT[0])
    height = np.interp(across, _GUIDE_AT, _GUIDE_UP).astype(np.float32)
    color = np.array(pick(rng, _GUIDES), np.float32)
    rubbed = np.interp(across, np.arange(0, 60, 0.8), rng.uniform(0, 0.05, 75)) * (1 + 0.5 * grime)
    albedo = (1 + 0.10 * grime) * color[:, None, None] + rubbed
    return Relief.of(coverage, coverage * height, albedo, Finish(0.0, 0.4))


def _screws(rng: np.random.Generator, canvas: Canvas, width: float, side: int) -> Relief:
    """Draw the socket-head screws of the profile as one relief."""
    coverage = np.zeros(canvas.shape, np.float32)
    socket = np.zeros_like(coverage)
    corners = np.arange(6) * (np.pi / 3)
    for u in np.arange(-width / 2 + rng.uniform(20, 90), width / 2, rng.uniform(120, 170)):
        center = (float(u), side * (34.5 - RAIL_WIDTH / 2))
        coverage = np.maximum(coverage, canvas.disc(center, 4.6))
        turned = corners + rng.uniform(0, 1)
        hexagon = np.array(center) + 2.4 * np.stack((np.cos(turned), np.sin(turned)), axis=1)
        socket = np.maximum(socket, canvas.polygon(hexagon))
    height = coverage * (14 - 4 * socket)
    albedo = np.tile(0.07 * (1 - 0.6 * socket), (3, 1, 1))
    return Relief.of(coverage, height, albedo, Finish(0.4, 0.6))


def _barrier(rng: np.random.Generator, canvas: Canvas, width: float, side: int) -> tuple[Relief, Relief]:
    """Draw the cable of a light barrier, and its box with a label and a status light."""
    u = float(rng.uniform(-0.38, 0.38) * width)
    v = side * (27.0 - RAIL_WIDTH / 2)
    color = np.array(pick(rng, _BOXES), np.float32)
    outer = -side * RAIL_WIDTH / 2
    cable = canvas.stroke([(u + 14, v), (u + 24, v), (u + 30, (v + outer) / 2), (u + 31, outer)], 4.0)
    black = np.full((3, *canvas.shape), 0.02, np.float32)
    wire = Relief.of(cable, 14 * cable, black, Finish(0.0, 0.4))
    body = canvas.box((u, v), (32, 22), 2.5)
    label = canvas.box((u - 5, v), (14, 12), 0.5)
    lines = label * (np.sin(canvas.v * np.float32(2.1)) > 0.3) * (np.abs(canvas.u - u + 5) < 5)
    lamp = canvas.disc((u + 10, v), 1.9)
    albedo = np.ones((3, *canvas.shape), np.float32) * color[:, None, None]
    for mask, paint in ((label, (0.7, 0.7, 0.7)), (lines, (0.05, 0.05, 0.05)), (lamp, (0.1, 0.9, 0.15))):
        albedo += mask * (np.array(paint, np.float32)[:, None, None] - albedo)
    height = 24 * body * np.sqrt(np.clip(canvas.depth(body) / 2, 0.1, 1))
    return wire, Relief.of(body, height, albedo, Finish(0.0, 0.3))
