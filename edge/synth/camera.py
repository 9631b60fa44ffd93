"""Camera above the belt: uneven and drifting light, vignetting, sensor noise, and light that changes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.synth.layout import random_stream
from edgeloop.edge.synth.rails import RAIL_HEIGHT, RAIL_WIDTH
from edgeloop.edge.synth.relief import Light

__all__ = ["BeltCamera", "draw_light"]

_FPS = 30.0  # frames per second of scene time
_NEUTRAL = 180  # value of the light map that leaves a pixel as it is
_NOISE_SIGMA = 2.3  # gray levels; after gamma, sensor noise is about the same in light and dark
_COLOR_NOISE_SIGMA = 1.2
_SPARE = 96  # pixels by which the noise tile can be moved in each direction


def draw_light(seed: int) -> Light:
    """Draw the light of a scene: a lamp at one side, 38 to 54 degrees above the belt, warmer or cooler."""
    rng = random_stream(seed, "light")
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(38, 54))
    warmth = rng.uniform(-0.06, 0.08)
    flat = np.cos(elevation)
    return Light(
        toward=(float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation))),
        lamp=(1.55 * (1 - warmth), 1.55, 1.55 * (1 + warmth)),
        ambient=(0.50, 0.47, 0.45),
    )


class BeltCamera:
    """Camera that turns the composed image of a frame into that of the sensor.

    Args:
        seed: Seed of the scene.
        light: Light of the scene.
        size: Width and height of the frame, px.
        change: Index of the frame from which on the light is another; None if it stays.
    """

    def __init__(self, seed: int, light: Light, size: tuple[int, int], change: int | None = None) -> None:
        rng = random_stream(seed, "camera")
        self._seed = seed
        self._periods_s = rng.uniform((17.0, 40.0, 70.0), (29.0, 66.0, 130.0))
        self._phases = rng.uniform(0, 2 * np.pi, 3)
        self._light_map = _light_map(rng, light, size)
        self._noise = _noise_tile(rng, size)
        self._change, self._late_gain, self._late_map = change, np.ones(3), self._light_map
        if change is not None:
            rng = random_stream(seed, "change")
            azimuth = np.arctan2(light.toward[1], light.toward[0]) + rng.uniform(0.6, 1.4) * np.pi
            flat = float(np.hypot(*light.toward[:2]))
            toward = (flat * float(np.cos(azimuth)), flat * float(np.sin(azimuth)), light.toward[2])
            self._late_map = _light_map(rng, replace(light, toward=toward), size)
            self._late_gain = rng.uniform(0.5, 0.62) * np.array((1.12, 1.0, 0.86))  # dim and cool

    def expose(self, picture: NDArray[np.uint8], index: int) -> None:
        """Apply light, tone and noise to a frame, in place.

        Args:
            picture: Evenly lit image, uint8 (H, W, 3) BGR; becomes the frame.
            index: Index of the frame.
        """
        height, width = picture.shape[:2]
        light_map = self._late_map if self._changed(index) else self._light_map
        cv2.multiply(picture, light_map, picture, 1 / _NEUTRAL)
        cv2.LUT(picture, self._tone(index), picture)
        dx, dy = random_stream(self._seed, "exposure", index).integers(0, _SPARE, 2)
        noise = self._noise[dy : dy + height, dx : dx + width]
        cv2.add(picture, noise, picture, dtype=cv2.CV_8U)

    def _changed(self, index: int) -> bool:
        return self._change is not None and index >= self._change

    def _tone(self, index: int) -> NDArray[np.uint8]:
        """Compute the drift of brightness and color as a look-up table, uint8 (1, 256, 3)."""
        waves = np.sin(2 * np.pi * (index / _FPS) / self._periods_s + self._phases)
        gain = 1 + 0.045 * waves[0] + 0.06 * waves[1]
        color = gain * (1 + 0.02 * waves[2] * np.array((-1.0, 0.0, 1.0)))
        if self._changed(index):
            color = color * self._late_gain
        levels = np.arange(256)[None, :, None] * color
        table: NDArray[np.uint8] = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        return table


def _light_map(rng: np.random.Generator, light: Light, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Compute the light per pixel, uint8 (H, W, 3), `_NEUTRAL` for 1: less away from the lamp."""
    width, height = size
    scale = height / 480
    lx, ly, lz = light.toward
    corner = float(np.hypot(width, height)) / 2  # the corners of the image are at a distance of 1
    x = (np.arange(width, dtype=np.float32)[None, :] - width / 2) / corner
    y = (np.arange(height, dtype=np.float32)[:, None] - height / 2) / corner
    toward = (x * lx + y * ly) / float(np.hypot(lx, ly))
    level = 1 + 0.22 * toward - 0.13 * (x * x + y * y)
    level += 0.05 * np.exp(-(((toward - rng.uniform(-0.1, 0.3)) / 0.25) ** 2))  # the lamp's sheen on the belt

    # The rails' shadows: long on the side of the lamp, a dark joint on both.
    belt_y = np.arange(height, dtype=np.float32) / scale - RAIL_WIDTH
    belt_width = 480 - 2 * RAIL_WIDTH
    for distance, away in ((belt_y, -ly), (belt_width - belt_y, ly)):
        reach = max(0.0, away / lz) * RAIL_HEIGHT
        shadow = 0.5 * np.clip((reach - distance) / (0.35 * reach + 1) + 0.5, 0, 1) * (reach > 2)
        joint = 0.45 * np.exp(-np.maximum(distance, 0) / 3)
        on_belt = (distance >= 0) & (distance <= belt_width)
        level *= np.where(on_belt, (1 - shadow) * (1 - joint), 1)[:, None]
    steps = np.clip(np.rint(level * _NEUTRAL), 0, 255).astype(np.uint8)
    return np.repeat(steps[:, :, None], 3, axis=2)


def _noise_tile(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.int8]:
    """Draw the noise of a color sensor after demosaicing, int8: fine in brightness, coarser in color."""
    rows, columns = size[1] + _SPARE, size[0] + _SPARE
    fine = cv2.GaussianBlur(rng.standard_normal((rows, columns), dtype=np.float32), (3, 3), 0.45)
    color = cv2.GaussianBlur(rng.standard_normal((rows, columns, 3), dtype=np.float32), (5, 5), 0.9)
    fine *= _NOISE_SIGMA / fine.std()
    color *= _COLOR_NOISE_SIGMA / color.std()
    tile: NDArray[np.int8] = np.clip(np.rint(fine[..., None] + color), -127, 127).astype(np.int8)
    return tile
