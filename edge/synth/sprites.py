"""Sprites: lit reliefs as patches that are pasted into frames."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.synth.canvas import Canvas
from edgeloop.edge.synth.layout import Item
from edgeloop.edge.synth.litter import LITTER
from edgeloop.edge.synth.parts import LATE_PARTS, PARTS
from edgeloop.edge.synth.relief import F32, Light, cast_shadow, shade, shadow_reach

__all__ = ["SPRITE_MARGIN", "Sprite", "make_sprite"]

SPRITE_MARGIN = 60.0  # units; no sprite, shadow included, reaches further beyond its object's radius
_DETAIL = 2.0  # minimum pixels per unit while drawing; for small frames the same parts are shrunk
_BLUR_ROOM = 4.0  # units around an object while it is drawn and blurred
_SHADOW_DEPTH = 0.58  # share of the belt's light that a full shadow takes
_KINDS = {**PARTS, **LATE_PARTS, **LITTER}
_SHADOW_TINT = (0.92, 0.97, 1.0)  # BGR: the hall still lights a shadow, and its light is cooler


@dataclass(frozen=True, slots=True)
class Sprite:
    """Image of an object with motion blur and shadow, to paste as `frame * keep + paint`.

    Attributes:
        paint: BGR to add, multiplied by the coverage, uint8 (h, w, 3).
        keep: Share of the background that stays, uint8 (h, w, 3), 255 for all of it.
        mask: Pixels of which the object covers at least half, bool (h, w).
        left: Column of the first pixel, relative to the center of the object.
        top: Row of the first pixel, relative to the center of the object.
    """

    paint: NDArray[np.uint8]
    keep: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    left: int
    top: int


def make_sprite(item: Item, rng: np.random.Generator, light: Light, scale: float, blur: float) -> Sprite:
    """Draw, light and blur one object.

    Args:
        item: Kind, size and position of the object.
        rng: Random generator of the object's look.
        light: Light of the scene.
        scale: Frame pixels per unit.
        blur: Distance that the belt moves while the shutter is open, units.

    Returns:
        The sprite, cropped to the pixels that it changes.
    """
    shrink = max(1, round(_DETAIL / scale))
    fine = scale * shrink
    canvas = Canvas.around(item.radius + _BLUR_ROOM, item.angle, fine, multiple=shrink)
    draw = _KINDS[item.kind]
    relief = draw(rng, canvas, item.radius)
    lit = shade(relief, light, fine) * relief.coverage[..., None]

    room = min(shadow_reach(relief, light), SPRITE_MARGIN - _BLUR_ROOM)
    color = _as_seen(lit, shrink, blur * fine, round(room * scale))
    coverage = _as_seen(relief.coverage, shrink, blur * fine, round(room * scale))
    height = _as_seen(relief.height, shrink, blur * fine, round(room * scale))
    shadow = _SHADOW_DEPTH * cast_shadow(coverage, height, light, scale)
    keep = cv2.merge([np.rint(255 * (1 - coverage) * (1 - tint * shadow)) for tint in _SHADOW_TINT])
    keep = keep.astype(np.uint8)
    touched = (keep < 255).any(axis=2)
    rows, columns = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
    cut = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    half = coverage.shape[0] // 2
    return Sprite(
        paint=np.ascontiguousarray(np.rint(color[cut]).astype(np.uint8)),
        keep=np.ascontiguousarray(keep[cut]),
        mask=np.ascontiguousarray(coverage[cut] >= 0.5),
        left=int(columns[0]) - half,
        top=int(rows[0]) - half,
    )


def _as_seen(plane: F32, shrink: int, blur_px: float, room: int) -> F32:
    """Blur along x, shrink each `shrink` x `shrink` block to one pixel, and add an empty margin."""
    seen: F32 = cv2.blur(plane, (max(1, round(blur_px)), 1), borderType=cv2.BORDER_REPLICATE)
    if shrink > 1:
        size = (seen.shape[1] // shrink, seen.shape[0] // shrink)
        seen = cv2.resize(seen, size, interpolation=cv2.INTER_AREA)
    padded: F32 = cv2.copyMakeBorder(seen, room, room, room, room, cv2.BORDER_CONSTANT, value=0)
    return padded
