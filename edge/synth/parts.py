"""Labeled parts: gears, bolts and brackets, and nuts that come later, no two alike.

Each function takes a random generator, a canvas and the radius of the circle that the part fills (units),
and returns the part as a relief. Parts of a class vary in size, proportions, number of teeth and holes,
material, finish and dirt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from edgeloop.edge.synth.canvas import Canvas
from edgeloop.edge.synth.relief import F32, Finish, Relief, pick

__all__ = ["LATE_PARTS", "LATE_RADII", "PARTS", "PART_RADII"]


@dataclass(frozen=True, slots=True)
class _Material:
    """Material: linear BGR albedo, metal and gloss as in `Finish`."""

    bgr: tuple[float, float, float]
    metal: float
    gloss: float


_STEEL = _Material((0.72, 0.70, 0.68), 1.0, 0.7)
_GALVANIZED = _Material((0.66, 0.64, 0.60), 0.85, 0.3)
_BRASS = _Material((0.30, 0.60, 0.80), 1.0, 0.7)
_YELLOW_ZINC = _Material((0.38, 0.60, 0.72), 0.9, 0.5)
_BLACK_OXIDE = _Material((0.050, 0.047, 0.045), 0.35, 0.6)
_WHITE_NYLON = _Material((0.60, 0.70, 0.73), 0.0, 0.35)
_BLACK_PLASTIC = _Material((0.035, 0.033, 0.033), 0.0, 0.5)
_RED_PLASTIC = _Material((0.05, 0.06, 0.42), 0.0, 0.5)
_BLUE_PAINT = _Material((0.42, 0.15, 0.04), 0.0, 0.45)
_ORANGE_PAINT = _Material((0.03, 0.24, 0.68), 0.0, 0.45)

_GEAR_MATERIALS = (_STEEL, _STEEL, _BRASS, _WHITE_NYLON, _BLACK_PLASTIC, _RED_PLASTIC)
_BOLT_MATERIALS = (_STEEL, _STEEL, _YELLOW_ZINC, _BLACK_OXIDE, _BRASS)
_NUT_MATERIALS = (_STEEL, _YELLOW_ZINC, _BRASS, _BLUE_PAINT)
_BRACKET_MATERIALS = (_GALVANIZED, _GALVANIZED, _STEEL, _BLUE_PAINT, _ORANGE_PAINT, _BLACK_OXIDE)


def _gear(rng: np.random.Generator, canvas: Canvas, radius: float) -> Relief:
    """Draw a spur gear lying flat: rim, web with or without holes, hub, bore with or without keyway."""
    teeth = int(9 + radius * rng.uniform(0.12, 0.26))
    module = 2 * radius / (teeth + 2)
    root = radius - 2.3 * module
    # Each tooth: root, flank bulging as an involute does, tip, and back down.
    turns = np.array([-0.36, -0.27, -0.14, 0.14, 0.27, 0.36])
    radii = np.array([0.0, 0.55, 1.0, 1.0, 0.55, 0.0]) * (radius - root) + root
    angles = (np.arange(teeth)[:, None] + turns[None, :]).ravel() * (2 * np.pi / teeth)
    rim = np.tile(radii, teeth)
    body = canvas.polygon(np.stack((rim * np.cos(angles), rim * np.sin(angles)), axis=1))
    bore = root * rng.uniform(0.2, 0.34)
    hub = bore + root * rng.uniform(0.14, 0.24)
    hole = canvas.disc((0, 0), bore)
    if rng.random() < 0.5:
        hole = np.maximum(hole, canvas.box((bore, 0), (0.6 * bore, 0.55 * bore)))
    web_inner, web_outer = hub + 0.06 * root, root * rng.uniform(0.8, 0.88)
    if rng.random() < 0.5 and web_outer - web_inner > 0.28 * root:
        middle, size = (web_inner + web_outer) / 2, 0.36 * (web_outer - web_inner)
        for turn in np.arange(count := int(rng.integers(4, 7))) * (2 * np.pi / count):
            hole = np.maximum(hole, canvas.disc((middle * np.cos(turn), middle * np.sin(turn)), size))
    coverage = body * (1 - hole)

    thick = radius * rng.uniform(0.16, 0.26)
    distance = np.hypot(canvas.u, canvas.v)
    recess = canvas.edge(distance - web_inner) * canvas.edge(web_outer - distance)
    profile = thick * (1 - rng.uniform(0.25, 0.5) * recess) + 0.25 * thick * canvas.edge(hub - distance)
    material = pick(rng, _GEAR_MATERIALS)
    if material.metal > 0:  # turning marks
        profile = profile + 0.05 * np.sin(distance * np.float32(2 * np.pi / 2.6))
    return _finished(rng, canvas, coverage, _beveled(canvas, coverage, profile, 0.09 * thick + 0.8), material)


def _bolt(rng: np.random.Generator, canvas: Canvas, radius: float) -> Relief:
    """Draw a bolt lying on its side: hexagon or cylinder head, plain shank, thread, chamfered tip."""
    gauge = radius * rng.uniform(0.26, 0.40)  # shank diameter
    head_long = gauge * rng.uniform(0.65, 0.8)
    hexagon = rng.random() < 0.65
    head_wide = gauge * (1.95 if hexagon else 1.55)
    neck = -radius + head_long
    thread_from = neck + (radius - neck) * pick(rng, (0.02, 0.3, 0.5))
    pitch = max(3.0, 0.24 * gauge)

    chamfer = 0.18 * gauge
    half = gauge / 2
    shank = canvas.polygon(
        [
            (neck - 1, -half),
            (radius - chamfer, -half),
            (radius, chamfer - half),
            (radius, half - chamfer),
            (radius - chamfer, half),
            (neck - 1, half),
        ]
    )
    thread = canvas.edge(canvas.u - thread_from)
    groove = np.cos((canvas.u + 0.25 * pitch * canvas.v / half) * np.float32(2 * np.pi / pitch))
    notch = canvas.edge(half - np.abs(canvas.v) - 0.2 * pitch * (0.5 - 0.5 * groove))
    shank = shank * (1 - thread * (1 - notch))
    axis = 0.3 * head_wide  # as if half sunk in: a whole bolt's shadow would fill the picture
    round_top = np.sqrt(np.maximum(half * half - canvas.v * canvas.v, 0))
    height = shank * (axis + round_top + thread * 0.16 * pitch * groove)

    head = canvas.box((-radius + head_long / 2, 0), (head_long, head_wide), 0.12 * gauge)
    across = np.abs(canvas.v)
    if hexagon:  # a flat face on top, two leaning ones beside it
        top = axis + 0.36 * head_wide - np.maximum(across - 0.25 * head_wide, 0) * np.float32(1.5)
    else:  # knurled cylinder
        knurl = 0.25 * np.sin(canvas.v * np.float32(2 * np.pi / 2.4))
        top = axis + np.sqrt(np.maximum((head_wide / 2) ** 2 - canvas.v * canvas.v, 0)) + knurl
    height = np.maximum(height, _beveled(canvas, head, top, 0.12 * gauge))
    return _finished(rng, canvas, np.maximum(head, shank), height, pick(rng, _BOLT_MATERIALS))


def _bracket(rng: np.random.Generator, canvas: Canvas, radius: float) -> Relief:
    """Draw an L-shaped plate with screw holes and sometimes a pressed rib."""
    ratio = rng.uniform(0.7, 1.0)
    long = 2 * radius / math.hypot(1, ratio)
    short = long * ratio
    wide = long * rng.uniform(0.24, 0.34)
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    left, top = -long / 2, -short / 2
    rounding = wide * rng.uniform(0.12, 0.42)
    along = canvas.box((0, mirror * (top + wide / 2)), (long, wide), rounding)
    down = canvas.box((left + wide / 2, 0), (wide, short), rounding)
    body = np.maximum(along, down)

    size = wide * rng.uniform(0.17, 0.24)
    sink = 1.55 * size if rng.random() < 0.5 else 0.0  # countersunk or plain
    count = int(rng.integers(1, 3))
    if short < 3 * wide:
        count = 1  # no room for two on a leg and one in the corner
    spots = [(left + wide / 2, top + wide / 2)] if (in_corner := rng.random() < 0.5) else []
    spots += [(long / 2 - wide * (0.5 + 1.05 * i), top + wide / 2) for i in range(count)]
    spots += [(left + wide / 2, short / 2 - wide * (0.5 + 1.05 * i)) for i in range(count)]
    hole, funnel = np.zeros(canvas.shape, np.float32), np.zeros(canvas.shape, np.float32)
    for u, v in spots:
        hole = np.maximum(hole, canvas.disc((u, mirror * v), size))
        if sink > 0:
            distance = np.hypot(canvas.u - u, canvas.v - mirror * v)
            funnel = np.maximum(funnel, np.clip((sink - distance) / (sink - size), 0, 1))
    coverage = body * (1 - hole)

    thick = rng.uniform(4.0, 7.5)
    profile = thick * (1 - 0.55 * funnel)
    if not in_corner and rng.random() < 0.7:
        inner = (left + 0.85 * wide, mirror * (top + 0.85 * wide))
        rib = canvas.stroke([(left + 0.2 * wide, mirror * (top + 0.2 * wide)), inner], 0.2 * wide)
        profile = profile + 2.5 * rib
    material = pick(rng, _BRACKET_MATERIALS)
    if material.metal > 0.8:  # rolled sheet: faint lines along one leg
        lines = rng.normal(0, 0.035, 257)
        profile = profile + np.interp(canvas.v, np.linspace(-64, 64, 257), lines).astype(np.float32)
    return _finished(rng, canvas, coverage, _beveled(canvas, coverage, profile, 1.3), material)


def _nut(rng: np.random.Generator, canvas: Canvas, radius: float) -> Relief:
    """Draw a hexagon nut lying flat: chamfered corners, threaded bore, with or without a flange."""
    flange = rng.random() < 0.4
    corner = radius * (0.8 if flange else 1.0)
    turns = np.arange(6) * (np.pi / 3)
    body = canvas.polygon(corner * np.stack((np.cos(turns), np.sin(turns)), axis=1))
    bore = corner * rng.uniform(0.40, 0.52)
    distance = np.hypot(canvas.u, canvas.v)
    thick = corner * rng.uniform(0.5, 0.75)
    profile = body * (thick - np.maximum(distance - 0.84 * corner, 0) * np.float32(0.6))
    profile = profile - canvas.edge(1.16 * bore - distance) * np.maximum(1.16 * bore - distance, 0)
    if flange:
        profile = np.maximum(profile, canvas.disc((0, 0), radius) * np.float32(0.16 * radius))
        body = canvas.disc((0, 0), radius)
    coverage = body * (1 - canvas.disc((0, 0), bore))
    height = _beveled(canvas, coverage, profile, 0.08 * thick + 0.8)
    return _finished(rng, canvas, coverage, height, pick(rng, _NUT_MATERIALS))


def _beveled(canvas: Canvas, coverage: F32, profile: F32, bevel: float) -> F32:
    """Round the edges of a height profile over `bevel` units."""
    fall = np.clip(1 - canvas.depth(coverage) / np.float32(bevel), 0, 1)
    height: F32 = coverage * profile * np.sqrt(1 - 0.75 * fall * fall)
    return height


def _finished(
    rng: np.random.Generator, canvas: Canvas, coverage: F32, height: F32, material: _Material
) -> Relief:
    """Add the surface of a single part: shade, handling marks, and rust on some steel."""
    shade = rng.uniform(0.82, 1.12) * np.array(material.bgr) * rng.uniform(0.95, 1.05, 3)
    wear = 1 + 0.07 * canvas.cloud(rng, 9.0) + 0.04 * canvas.cloud(rng, 2.0)
    albedo = wear * shade.astype(np.float32)[:, None, None]
    if material in (_STEEL, _GALVANIZED, _BLACK_OXIDE) and rng.random() < 0.2:
        rust = np.clip(canvas.cloud(rng, 14.0) * 0.5 + 0.25 * canvas.cloud(rng, 3.0) - 0.25, 0, 0.7)
        albedo += rust * (np.array((0.05, 0.13, 0.30), np.float32)[:, None, None] - albedo)
    if material.metal > 0.8:  # metal is never quite flat, and its reflections show it
        height = height - coverage * 0.0016 * (canvas.u**2 + canvas.v**2)
    tilt = rng.normal(0.0, 0.05, 2)
    gloss = material.gloss * rng.uniform(0.6, 1.2)
    finish = Finish(material.metal, min(gloss, 1.0), (float(tilt[0]), float(tilt[1])))
    return Relief.of(coverage, height, albedo, finish)


PARTS: Mapping[str, Callable[[np.random.Generator, Canvas, float], Relief]] = MappingProxyType(
    {"bolt": _bolt, "bracket": _bracket, "gear": _gear}
)
PART_RADII: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"bolt": (30.0, 62.0), "bracket": (34.0, 64.0), "gear": (25.0, 54.0)}
)
LATE_PARTS: Mapping[str, Callable[[np.random.Generator, Canvas, float], Relief]] = MappingProxyType(
    {"nut": _nut}
)
"""Parts that are on the belt only after a change."""

LATE_RADII: Mapping[str, tuple[float, float]] = MappingProxyType({"nut": (26.0, 44.0)})
