"""Layout of the endless belt: object k depends on (seed, k) alone, so that any k can be drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgeloop.edge.synth.litter import LITTER_RADII
from edgeloop.edge.synth.parts import LATE_RADII, PART_RADII
from edgeloop.edge.synth.relief import pick

__all__ = ["PITCH", "REACH", "Item", "item_at", "late_item", "random_stream"]

PITCH = 78.0  # units of belt for one place, which holds one object or none
REACH = 4 * PITCH  # nothing of object k, shadow included, is further than this from k * PITCH

_CYCLE = 72  # places from one gap in production to the next
_LATE_SHARE = 0.3  # of the parts, those of a class that appears with a change
_GOLDEN = 0.6180339887
_PURPOSES = (
    "place", "item", "cycle", "look", "light", "motion", "rails", "belt", "camera", "exposure", "change",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """Object on the belt.

    Attributes:
        number: Number k of its place; for parts also the track id.
        kind: Name of the class, or of the litter.
        radius: Radius of the circle around it, units.
        along: Position of its center along the belt, units; grows with k.
        across: Position of its center across the belt, units from the upper edge of the belt in the image.
        angle: Rotation, radians.
    """

    number: int
    kind: str
    radius: float
    along: float
    across: float
    angle: float


def random_stream(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """Create a random generator for a purpose and number, independent of the order of calls."""
    return np.random.default_rng((seed, _PURPOSES.index(purpose), number))


def item_at(seed: int, number: int, belt_width: float) -> Item | None:
    """Draw the object on place `number`, 0 or more, of a belt of that width in units; None if it is empty."""
    rng = random_stream(seed, "item", number)
    kind = _kind(rng, *_density(seed, number))
    if kind is None:
        return None
    low, high = PART_RADII[kind] if kind in PART_RADII else LITTER_RADII[kind]
    radius = float(rng.uniform(low, high))
    along, lane = _place(seed, number)
    room = belt_width - 2 * radius - 6
    across = radius + 3 + lane * room
    if number > 0 and rng.random() < 0.16:  # it slid against, or onto, the one before
        along_before, lane_before = _place(seed, number - 1)
        turn, apart = rng.uniform(0, 2 * np.pi), rng.uniform(0.65, 1.25) * radius
        along = along_before + apart * np.cos(turn)
        across = radius + 3 + lane_before * room + apart * np.sin(turn)
        across = min(max(across, radius + 3), belt_width - radius - 3)
    return Item(number, kind, radius, float(along), float(across), float(rng.uniform(0, 2 * np.pi)))


def late_item(seed: int, item: Item) -> Item:
    """Draw the object that is on the place of `item` after a change: the same, or a part of a late class."""
    rng = random_stream(seed, "change", item.number)
    if item.kind not in PART_RADII or rng.random() >= _LATE_SHARE:
        return item
    kind = pick(rng, tuple(LATE_RADII))
    # No larger than what it replaces, which has the room.
    return replace(item, kind=kind, radius=min(item.radius, float(rng.uniform(*LATE_RADII[kind]))))


def _place(seed: int, number: int) -> tuple[float, float]:
    """Draw the position along the belt in units, and across it in [0, 1); neighbors differ across."""
    rng = random_stream(seed, "place", number)
    along = (number + 0.5 + rng.uniform(-0.3, 0.3)) * PITCH
    return along, (number * _GOLDEN + seed * 0.37 + rng.uniform(-0.13, 0.13)) % 1.0


def _density(seed: int, number: int) -> tuple[float, float]:
    """Compute the probability of part and litter: each cycle has a stretch of few and one of no parts."""
    cycle, position = divmod(number, _CYCLE)
    rng = random_stream(seed, "cycle", cycle)
    gap_from, gap_long = int(rng.integers(14, _CYCLE - 16)), int(rng.integers(9, 14))
    if gap_from <= position < gap_from + gap_long:
        return 0.0, 0.10
    if gap_from - 6 <= position < gap_from:
        return 0.4, 0.12
    return 0.80, 0.14


def _kind(rng: np.random.Generator, part_chance: float, litter_chance: float) -> str | None:
    chance = rng.random()
    kinds = tuple(PART_RADII) if chance < part_chance else tuple(LITTER_RADII)
    choice = pick(rng, kinds)
    return choice if chance < part_chance + litter_chance else None
