"""Belt texture: material, wear and seam, as one strip that moves through the image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.synth.relief import F32, Finish, Light, Relief, pick, shade

__all__ = ["belt_strip"]

_LENGTH = 1440.0  # units until the texture, with its seam and scratches, comes round again


# Types of belt: linear BGR color, gloss and surface pattern.
_MAKES = (
    ((0.060, 0.100, 0.036), 0.25, "weave"),  # green PVC
    ((0.190, 0.115, 0.065), 0.30, "smooth"),  # blue polyurethane
    ((0.100, 0.100, 0.100), 0.10, "chevron"),  # gray rubber
    ((0.150, 0.120, 0.060), 0.35, "links"),  # petrol modular links
)


def belt_strip(
    rng: np.random.Generator, light: Light, width_px: int, scale: float, blur: float, margin_px: int
) -> NDArray[np.uint8]:
    """Draw one turn of the belt, with its start repeated at the end.

    Args:
        rng: Random generator of its type and wear.
        light: Light of the scene.
        width_px: Width of the belt in the frame, px.
        scale: Frame pixels per unit.
        blur: Distance that the belt moves while the shutter is open, units.
        margin_px: Number of columns of the start to repeat.

    Returns:
        uint8 (width_px, round(_LENGTH * scale) + margin_px, 3), BGR.
    """
    bgr, gloss, pattern = pick(rng, _MAKES)
    shape = (width_px, round(_LENGTH * scale))
    x = np.arange(shape[1], dtype=np.float32)[None, :] / np.float32(scale)
    y = np.arange(shape[0], dtype=np.float32)[:, None] / np.float32(scale)
    color = np.array(bgr) * rng.uniform(0.85, 1.2) * rng.uniform(0.93, 1.07, 3)
    height = _pattern(pattern, x, y, scale)
    height += 0.12 * rng.standard_normal(shape, dtype=np.float32)
    dirt = _wear(rng, shape, scale)
    _splice(rng, height, dirt, scale)

    # The strip is a loop: blur across its end reaches its start.
    lap = max(8, round(8 * scale))
    height, dirt = (np.pad(plane, ((0, 0), (lap, lap)), mode="wrap") for plane in (height, dirt))
    albedo = (1 + dirt) * color.astype(np.float32)[:, None, None]
    relief = Relief.of(np.ones_like(height), height, albedo, Finish(0.0, gloss))
    lit = cv2.blur(shade(relief, light, scale), (max(1, round(blur * scale)), 1))
    strip = np.rint(lit[:, lap:-lap]).astype(np.uint8)
    return np.pad(strip, ((0, 0), (0, margin_px), (0, 0)), mode="wrap")


def _pattern(name: str, x: F32, y: F32, scale: float) -> F32:
    """Draw the height of the surface, float32 (H, W), units; periods divide _LENGTH."""
    surface = np.zeros((y.shape[0], x.shape[1]), dtype=np.float32)
    if name == "weave":
        surface += _fade(5, scale) * np.float32(0.22) * _wave(x, 5) * _wave(y, 5)
    elif name == "chevron":
        arms = x + np.float32(0.6) * np.abs(y - y[-1] / 2)
        surface += _fade(12, scale) * np.float32(0.5) * np.clip(2 * _wave(arms, 12), -1, 1)
    elif name == "links":
        row = np.floor(x / 36)
        gap_x = np.minimum(x % 36, 36 - x % 36)
        across = (y + 26 * (row % 2)) % 52
        gap_y = np.minimum(across, 52 - across)
        surface += np.minimum(np.clip((gap_x - 0.4) / 1.2, 0, 1), np.clip((gap_y - 0.3) / 1.0, 0, 1))
    return surface


def _wave(along: F32, period: float) -> F32:
    wave: F32 = np.cos(along * np.float32(2 * np.pi / period))
    return wave


def _fade(period: float, scale: float) -> np.float32:
    """Compute the strength of a fine pattern: 0 if its period is near two pixels and would alias."""
    return np.float32(np.clip((period * scale - 2.0) / 2.0, 0.0, 1.0))


def _wear(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> F32:
    """Draw the relative change of color: blotches, lengthwise rubbing, scratches, stains."""
    blotches = 0.07 * _looped(rng, shape, (70 * scale, 70 * scale))
    rubbing = 0.06 * _looped(rng, shape, (2.5 * scale, 400 * scale))
    marks = np.zeros(shape, dtype=np.float32)
    rows, columns = shape
    for _ in range(70):
        x, y = rng.uniform(0, columns), rng.uniform(0, rows)
        long, turn = rng.uniform(6, 60) * scale, rng.normal(0, 0.5)
        end = (round(x + long * np.cos(turn)), round(y + long * np.sin(turn)))
        cv2.line(marks, (round(x), round(y)), end, rng.uniform(-0.16, 0.22))
    for _ in range(26):
        center = (round(rng.uniform(0, columns)), round(rng.uniform(0, rows)))
        axes = (round(rng.uniform(3, 22) * scale), round(rng.uniform(2, 10) * scale))
        cv2.ellipse(marks, center, axes, rng.uniform(0, 180), 0, 360, rng.uniform(-0.2, 0.1), -1)
    soft: F32 = cv2.GaussianBlur(marks, (0, 0), max(0.3, 0.8 * scale))
    return blotches + rubbing + soft


def _looped(rng: np.random.Generator, shape: tuple[int, int], grain: tuple[float, float]) -> F32:
    """Draw a smooth random field that tiles along x; grain in px down and along."""
    rows, columns = shape
    cells = [max(2, round(side / max(size, 1))) for side, size in zip(shape, grain, strict=True)]
    coarse = np.pad(rng.standard_normal(cells, dtype=np.float32), ((0, 0), (0, 3)), mode="wrap")
    step = columns / cells[1]
    wide: F32 = cv2.resize(coarse, (round(columns + 3 * step), rows), interpolation=cv2.INTER_CUBIC)
    start = round(1.5 * step)  # from the second cell to its repetition: the interpolation sees both sides
    looped: F32 = wide[:, start : start + columns]
    return looped


def _splice(rng: np.random.Generator, height: F32, dirt: F32, scale: float) -> None:
    """Draw the finger splice that joins the ends of the belt, a zigzag, into both planes."""
    rows, columns = height.shape
    start = rng.uniform(0.3, 0.6) * columns
    fingers = np.arange(0, rows + 10 * scale, 10 * scale)
    zigzag = start + 26 * scale * (np.arange(len(fingers)) % 2) + 0.12 * fingers
    line = np.rint(np.stack((zigzag, fingers), axis=1) * 16).astype(np.int32)
    drawn = np.zeros((rows, columns), dtype=np.uint8)
    cv2.polylines(drawn, [line], False, 255, max(1, round(1.2 * scale)), cv2.LINE_AA, 4)
    seam = drawn.astype(np.float32) / np.float32(255)
    height -= np.float32(0.35) * seam
    dirt -= np.float32(0.22) * seam
