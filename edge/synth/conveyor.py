"""Conveyor scene: gears, bolts and brackets on a moving belt, with litter between them."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.synth.belt import belt_strip
from edgeloop.edge.synth.camera import BeltCamera, draw_light
from edgeloop.edge.synth.layout import PITCH, REACH, Item, item_at, late_item, random_stream
from edgeloop.edge.synth.parts import LATE_PARTS, PARTS
from edgeloop.edge.synth.rails import RAIL_WIDTH, rail
from edgeloop.edge.synth.sprites import SPRITE_MARGIN, Sprite, make_sprite
from edgeloop.edge.synth.truth import Placed, Truth, visible_truth
from edgeloop.models.errors import UsageError

__all__ = ["ConveyorScene"]

_HEIGHT = 480.0  # units; every other length follows from this
_BELT_WIDTH = _HEIGHT - 2 * RAIL_WIDTH
_SHUTTER = 0.7  # share of the time between two frames in which the shutter is open
_SPRITES = 96  # sprites kept; a frame shows about ten objects


class ConveyorScene:
    """Belt that runs from left to right, and objects that move with it, pixel for pixel.

    A part crosses 640 x 480 in 6 to 7 s of scene time (`index / 30` s). The size changes the resolution of
    the scene, not its events; a wider image shows more belt.

    Args:
        seed: Random seed of belt, lamp and parts; 0 or more.
        size: Width and height of the frames, px.
        change: Index of the frame from which on the light is another and nuts, a fourth class, come into
            view; None for a scene that stays as it is.
    """

    name = "conveyor"
    classes: tuple[str, ...] = tuple(PARTS)

    def __init__(self, seed: int, size: tuple[int, int], change: int | None = None) -> None:
        self.size = size
        if change is not None:
            self.classes = (*PARTS, *LATE_PARTS)
        self._seed = seed
        self._scale = size[1] / _HEIGHT
        self._light = draw_light(seed)
        self._camera = BeltCamera(seed, self._light, size, change)
        speed = float(random_stream(seed, "motion").uniform(3.1, 3.7))  # units per frame
        self._speed_px = speed * self._scale
        self._blur = speed * _SHUTTER

        rails, width = random_stream(seed, "rails"), size[0] / self._scale
        upper, lower = (rail(rails, self._light, width, self._scale, lower=lower) for lower in (False, True))
        self._still = np.zeros((size[1], size[0], 3), dtype=np.uint8)
        self._still[: len(upper)] = upper
        self._still[-len(lower) :] = lower
        self._belt_rows = (len(upper), size[1] - len(lower))
        belt_px = self._belt_rows[1] - self._belt_rows[0]
        self._belt = belt_strip(
            random_stream(seed, "belt"), self._light, belt_px, self._scale, self._blur, margin_px=size[0]
        )
        self._belt_period = self._belt.shape[1] - size[0]
        # Places that are further away than this number are out of view as the change comes.
        self._first_late = math.inf if change is None else (change * speed + width + REACH) / PITCH
        self._item_at = lru_cache(maxsize=4 * _SPRITES)(self._draw_item)
        self._sprite_of = lru_cache(maxsize=_SPRITES)(self._draw_sprite)

    def render(self, index: int) -> NDArray[np.uint8]:
        """Render a frame.

        Args:
            index: Index of the frame, 0 or more, in any order.

        Returns:
            uint8 (H, W, 3), BGR. The same seed, size and index give the same bytes.

        Raises:
            UsageError: The index is negative.
        """
        picture = self._empty_belt(index)
        belt = picture[self._belt_rows[0] : self._belt_rows[1]]
        for _, sprite, left, top in self._lying(index):
            _paste(belt, sprite, left, top)
        self._camera.expose(picture, index)
        return picture

    def background(self, index: int) -> NDArray[np.uint8]:
        """Render the same frame, light and noise with nothing on the belt, uint8 (H, W, 3) BGR."""
        picture = self._empty_belt(index)
        self._camera.expose(picture, index)
        return picture

    def truth(self, index: int) -> Truth:
        """Compute the visible objects of `render(index)`.

        A pixel belongs to a part if the part, blurred by its motion, covers at least half of it and nothing
        is on top. Litter hides parts but is not labeled. Parts with fewer than 16 visible pixels, or with
        less than a fifth of their pixels visible, are left out.

        Args:
            index: Index of the frame, 0 or more.

        Returns:
            The visible parts, ordered by track id.

        Raises:
            UsageError: The index is negative.
        """
        stack = []
        for item, sprite, left, top in self._lying(index):
            class_id = self.classes.index(item.kind) if item.kind in self.classes else None
            stack.append(Placed(sprite.mask, left, self._belt_rows[0] + top, class_id, item.number))
        return visible_truth(stack, self.size)

    def _empty_belt(self, index: int) -> NDArray[np.uint8]:
        picture = self._still.copy()
        start = -self._moved(index) % self._belt_period
        belt = self._belt[:, start : start + self.size[0]]
        picture[self._belt_rows[0] : self._belt_rows[1]] = belt
        return picture

    def _moved(self, index: int) -> int:
        """Compute how many pixels the belt has moved; whole ones, so that nothing slides on it."""
        if index < 0:
            raise UsageError(f"synth:{self.name}: frame index must be 0 or more, got {index}")
        return math.floor(index * self._speed_px)

    def _lying(self, index: int) -> list[tuple[Item, Sprite, int, int]]:
        """List the objects in view, bottom to top, with the first column and belt row of their sprites."""
        moved = self._moved(index)
        nearest = (moved / self._scale - REACH) / PITCH
        furthest = ((moved + self.size[0]) / self._scale + REACH) / PITCH
        lying = []
        for number in range(max(0, math.floor(nearest)), math.ceil(furthest) + 1):
            item = self._item_at(number)
            if item is None:
                continue
            x = self.size[0] + moved - round(item.along * self._scale)
            reach = (item.radius + SPRITE_MARGIN) * self._scale
            if not -reach < x < self.size[0] + reach:
                continue  # certainly out of view: do not draw its sprite yet
            sprite = self._sprite_of(item)
            left, top = x + sprite.left, round(item.across * self._scale) + sprite.top
            if left < self.size[0] and left + sprite.mask.shape[1] > 0:
                lying.append((item, sprite, left, top))
        return sorted(lying, key=lambda placed: (placed[0].kind != "oil", placed[0].number))

    def _draw_item(self, number: int) -> Item | None:
        item = item_at(self._seed, number, _BELT_WIDTH)
        return item if item is None or number < self._first_late else late_item(self._seed, item)

    def _draw_sprite(self, item: Item) -> Sprite:
        look = random_stream(self._seed, "look", item.number)
        return make_sprite(item, look, self._light, self._scale, self._blur)


def _paste(belt: NDArray[np.uint8], sprite: Sprite, left: int, top: int) -> None:
    """Draw a sprite on the belt rows of the image, in place, clipped to them."""
    y1, y2 = max(top, 0), min(top + sprite.mask.shape[0], belt.shape[0])
    x1, x2 = max(left, 0), min(left + sprite.mask.shape[1], belt.shape[1])
    if x1 >= x2 or y1 >= y2:
        return
    inside = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
    below = belt[y1:y2, x1:x2]
    cv2.multiply(below, sprite.keep[inside], below, 1 / 255)
    cv2.add(below, sprite.paint[inside], below)
