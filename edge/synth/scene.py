"""Protocol of the built-in scenes, and their registry by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.synth.conveyor import ConveyorScene
from edgeloop.edge.synth.truth import Truth
from edgeloop.models.errors import UsageError

__all__ = ["SCENES", "Scene", "open_scene"]

_SMALLEST, _LARGEST = (160, 120), (1920, 1080)
_WIDEST = 2.5  # width for each height; a camera image is no narrower than a square and no wider than this


class Scene(Protocol):
    """Camera image with known content, as a pure function of seed, size and frame index."""

    @property
    def name(self) -> str:
        """Name under which the scene is opened."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, which `Truth.class_id` indexes: the same for every seed, one more with a change."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames, px."""
        ...

    def render(self, index: int) -> NDArray[np.uint8]:
        """Render frame `index`, uint8 (H, W, 3) BGR; `index / 30` is its time in seconds."""
        ...

    def truth(self, index: int) -> Truth:
        """Compute the visible objects of `render(index)`."""
        ...


SCENES: Mapping[str, Callable[[int, tuple[int, int], int | None], Scene]] = MappingProxyType(
    {"conveyor": ConveyorScene}
)


def open_scene(
    name: str, *, seed: int = 1, size: tuple[int, int] = (640, 480), change: int | None = None
) -> Scene:
    """Open a built-in scene.

    Args:
        name: A key of `SCENES`.
        seed: Random seed of the looks and events of the scene; 0 or more.
        size: Width and height of the frames, px; 160x120 to 1920x1080, between square and 5:2.
        change: Index of the frame from which on the light is another and a further class comes into view, 0
            or more; None for a scene that stays as it is.

    Returns:
        The scene, ready to render.

    Raises:
        UsageError: The name is unknown, the seed or the change negative, or the size out of range.
    """
    if name not in SCENES:
        raise UsageError(f"unknown scene {name!r}; there is: {', '.join(sorted(SCENES))}")
    if seed < 0:
        raise UsageError(f"synth:{name}: seed must be 0 or more, got {seed}")
    if change is not None and change < 0:
        raise UsageError(f"synth:{name}: change must be a frame index from 0, got {change}")
    width, height = size
    if not (_SMALLEST[0] <= width <= _LARGEST[0] and _SMALLEST[1] <= height <= _LARGEST[1]):
        raise UsageError(
            f"synth:{name}: size must be {_SMALLEST[0]}x{_SMALLEST[1]} to {_LARGEST[0]}x{_LARGEST[1]}, "
            f"got {width}x{height}"
        )
    if not height <= width <= _WIDEST * height:
        raise UsageError(
            f"synth:{name}: width must be 1 to {_WIDEST:g} times the height, got {width}x{height}"
        )
    return SCENES[name](seed, size, change)
