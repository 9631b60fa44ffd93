"""Litter on the belt: leaves, paper, oil, cable ties. Drawn, never labeled.

The functions take and return the same as those in `parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from edgeloop.edge.synth.canvas import Canvas
from edgeloop.edge.synth.relief import Finish, Relief, pick

__all__ = ["LITTER", "LITTER_RADII"]

# Linear BGR.
_LEAF_COLORS = ((0.02, 0.10, 0.22), (0.03, 0.20, 0.38), (0.03, 0.17, 0.11), (0.02, 0.06, 0.16))
_PAPER_COLORS = ((0.70, 0.74, 0.76), (0.62, 0.70, 0.74), (0.28, 0.42, 0.52))
_TIE_COLORS = ((0.62, 0.66, 0.66), (0.03, 0.03, 0.03), (0.05, 0.07, 0.45), (0.40, 0.16, 0.05))


def _leaf(rng: np.random.Generator, canvas: Canvas, radius: float) -> Relief:
    """Draw a dry leaf: stem, midrib, side veins, toothed and slightly curled edge."""
    along = np.linspace(-0.75, 1.0, 40)
    belly = rng.uniform(0.34, 0.5)
    half = belly * np.sin(np.pi * ((along + 0.75) / 1.75) ** rng.uniform(0.7, 1.0))
    half *= 1 + 0.05 * (np.arange(40) % 2)
    sway = rng.uniform(-0.15, 0.15)
    bend = sway * along**2
    rim = np.concatenate((np.stack((along, bend + half), 1), np.stack((along, bend - half), 1)[::-1]))
    rib = np.linspace(-1.0, 1.0, 13)
    spine = np.stack((rib, sway * rib**2), axis=1)
    coverage = np.maximum(canvas.polygon(radius * rim), canvas.stroke(radius * spine[:4], 1.8))

    veins = canvas.stroke(radius * spine, 1.4)
    for root in spine[2:-3]:
        fork = root + np.array(((0.28, -0.32), (0, 0), (0.28, 0.32)))
        veins = np.maximum(veins, 0.6 * canvas.stroke(radius * fork, 0.8))
    curl = rng.uniform(2.0, 7.0) * (canvas.v / (belly * radius)) ** 2 + 1.2 * canvas.cloud(rng, 14.0)
    height = coverage * np.clip(2.5 + curl + 0.8 * veins, 0.5, 12.0)
    color = np.array(pick(rng, _LEAF_COLORS)) * rng.uniform(0.8, 1.3)
    blotches = 1 + 0.25 * canvas.cloud(rng, 8.0) + 0.7 * veins
    return Relief.of(coverage, height, blotches * color[:, None, None], Finish(0.0, 0.15))


def _paper(rng: np.random.Generator, canvas: Canvas, radius: float) -> Relief:
    """Draw a torn scrap of paper, creased, with or without print."""
    corners = 9
    turns = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = radius * rng.uniform(0.55, 1.0, corners)
    knots = np.arange(corners + 1)
    tear = np.linspace(0, corners, 60)
    outline = np.stack(
        [
            np.interp(tear, knots, np.append(at, at[0]))
            for at in (reach * np.cos(turns), reach * np.sin(turns))
        ],
        1,
    )
    coverage = canvas.polygon(outline + rng.normal(0, 0.7, outline.shape))
    creases = np.zeros(canvas.shape)
    for _ in range(int(rng.integers(2, 5))):
        turn, shift = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4) * radius
        distance = canvas.u * np.cos(turn) + canvas.v * np.sin(turn) - shift
        creases += np.abs(distance) * rng.uniform(-0.12, 0.12)
    height = coverage * np.clip(4 + creases + 0.7 * canvas.cloud(rng, 11.0), 0.6, 14.0)
    ink = np.zeros(canvas.shape)
    if rng.random() < 0.6:
        lines = (np.abs(canvas.v) < 0.6 * radius) & (np.sin(1.05 * canvas.v) > 0.55)
        ink = 0.6 * (lines & (canvas.cloud(rng, 3.0) > -0.3))
    color = np.array(pick(rng, _PAPER_COLORS)) * rng.uniform(0.75, 1.0)
    grain = 1 + 0.03 * canvas.cloud(rng, 5.0) - ink
    return Relief.of(coverage, height, grain * color[:, None, None], Finish(0.0, 0.05))


def _oil(rng: np.random.Generator, canvas: Canvas, radius: float) -> Relief:
    """Draw a stain of oil that darkens the belt and shines a little."""
    distance = np.hypot(canvas.u, canvas.v / rng.uniform(0.55, 0.95)) / radius
    rim = 0.66 + 0.12 * canvas.cloud(rng, 0.5 * radius) + 0.03 * canvas.cloud(rng, 5.0)
    soaked = np.clip((rim - distance) * 9, 0, 1)
    for _ in range(int(rng.integers(0, 5))):
        turn, away = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.6, 0.85)
        drop = canvas.disc((away * np.cos(turn), away * np.sin(turn)), rng.uniform(1.5, 5.0))
        soaked = np.maximum(soaked, drop)
    film = 0.8 * np.clip((rim - distance) * 2, 0, 1) + 0.25 * canvas.cloud(rng, 10.0)
    color = np.array((0.012, 0.016, 0.020)) * rng.uniform(0.7, 1.4)
    albedo = np.broadcast_to(color[:, None, None], (3, *canvas.shape))
    return Relief.of(soaked * rng.uniform(0.4, 0.7), soaked * film, albedo, Finish(0.0, 0.7))


def _cable_tie(rng: np.random.Generator, canvas: Canvas, radius: float) -> Relief:
    """Draw a used cable tie: a thin curved strap with a small square head."""
    along = np.linspace(-1.0, 1.0, 40)
    curve, wave = rng.uniform(-0.5, 0.5), rng.uniform(-0.25, 0.25)
    strap = radius * 0.97 * np.stack((along, curve * (along**2 - 0.5) + wave * np.sin(3 * along)), axis=1)
    width = rng.uniform(4.0, 6.0)
    band = canvas.stroke(strap, width)
    head = canvas.box(strap[0], (1.9 * width, 1.7 * width), 0.25 * width)
    coverage = np.maximum(band, head)
    ripple = 0.12 * np.sin(canvas.u * (2 * np.pi / 2.6))
    lift = 2.5 + 2.0 * (1 + np.sin(2.2 * canvas.u / radius + curve))  # the strap arches off the belt
    height = np.maximum(band * (lift + ripple), head * (lift + 2.5))
    color = np.array(pick(rng, _TIE_COLORS)) * rng.uniform(0.85, 1.1)
    albedo = np.broadcast_to(color[:, None, None], (3, *canvas.shape))
    return Relief.of(coverage, height, albedo, Finish(0.0, 0.5))


LITTER: Mapping[str, Callable[[np.random.Generator, Canvas, float], Relief]] = MappingProxyType(
    {"leaf": _leaf, "paper": _paper, "oil": _oil, "cable tie": _cable_tie}
)
LITTER_RADII: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"leaf": (30.0, 56.0), "paper": (24.0, 48.0), "oil": (24.0, 60.0), "cable tie": (32.0, 60.0)}
)
