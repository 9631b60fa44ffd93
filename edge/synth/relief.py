"""Shading of a relief: from height, color and finish of a surface to its image.

Everything in a scene (parts, litter, belt, rails) is a relief seen from straight above and lit by the same
lamp. Lengths are scene units: one unit is one pixel of a frame 480 px high. Axes are those of the image:
x right, y down, z towards the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["F32", "Finish", "Light", "Relief", "cast_shadow", "cloud", "pick", "shade", "shadow_reach"]

F32 = NDArray[np.float32]
T = TypeVar("T")

_MAX_SLOPE = 2.5  # a side wall seen from above is one pixel wide: steeper would alias
_PENUMBRA = 0.17  # blur of a shadow's edge, for each unit of height
_CONTACT = 1.6  # units around an object in which it blocks ambient light
_WHITE = 2.2  # linear radiance that becomes 255


@dataclass(frozen=True, slots=True)
class Light:
    """Light of a scene: a wide lamp on one side and ambient light from above.

    Attributes:
        toward: Unit vector from the surface to the lamp, image axes.
        lamp: Linear BGR radiance of the lamp.
        ambient: Linear BGR radiance of the surroundings.
    """

    toward: tuple[float, float, float]
    lamp: tuple[float, float, float]
    ambient: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Finish:
    """Reflection of a surface.

    Attributes:
        metal: 0 for paint, plastic and paper, 1 for bare metal, which shows reflections in its own color.
        gloss: 0 for matt to 1 for polished.
        tilt: Slope of the whole surface in x and y. A part is never quite flat, and on metal this decides
            how bright its flat faces are.
    """

    metal: float
    gloss: float
    tilt: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Relief:
    """Surface as planes of equal size.

    Attributes:
        coverage: Share of the pixel that the surface covers, float32 (H, W) in [0, 1].
        height: Height above the belt, float32 (H, W), units; 0 outside the surface.
        albedo: Linear blue, green and red, float32 (3, H, W) in [0, 1].
        finish: Reflection of the surface.
    """

    coverage: F32
    height: F32
    albedo: F32
    finish: Finish

    @classmethod
    def of(
        cls,
        coverage: NDArray[np.floating],
        height: NDArray[np.floating],
        albedo: NDArray[np.floating],
        finish: Finish,
    ) -> Relief:
        """Create a relief from planes of any float type, with albedo clipped and no height outside."""
        return cls(
            coverage=coverage.astype(np.float32, copy=False),
            height=(height * (coverage > 0)).astype(np.float32, copy=False),
            albedo=np.clip(albedo, 0.008, 0.92, dtype=np.float32),
            finish=finish,
        )


def shade(relief: Relief, light: Light, scale: float) -> F32:
    """Compute the color of a lit relief.

    Args:
        relief: The surface.
        light: Light of the scene.
        scale: Pixels per unit of the relief's planes.

    Returns:
        float32 (H, W, 3), BGR in [0, 255] as a camera would store it (gamma encoded).
    """
    finish, (lx, ly, lz) = relief.finish, light.toward
    nx, ny, nz = _normals(relief.height, finish.tilt, scale)
    facing = np.maximum(nx * lx + ny * ly + nz * lz, 0)
    glint = _glint(nx, ny, nz, light, finish.gloss)
    openness = _openness(relief.height, scale)
    matt = 1 - 0.85 * finish.metal
    from_lamp = matt * facing
    from_hall = matt * openness * (0.6 + 0.4 * nz)
    if finish.metal > 0:
        mirrored = finish.metal * _surroundings(nx, ny, nz, light) * (0.35 + 0.65 * openness)
        from_lamp += 0.5 * mirrored
        from_hall += mirrored
    planes = []
    for albedo, lamp, hall in zip(relief.albedo, light.lamp, light.ambient, strict=True):
        shine = glint * (lamp * (0.3 + 0.7 * finish.metal * albedo))
        linear = albedo * (from_lamp * lamp + from_hall * hall) + shine
        toned = linear * (1 + linear * (1 / _WHITE**2)) / (1 + linear)
        planes.append(255 * np.sqrt(np.minimum(toned, 1)))  # a gamma of 2 is near enough, and fast
    picture: F32 = cv2.merge(planes)
    return picture


def cast_shadow(coverage: F32, height: F32, light: Light, scale: float) -> F32:
    """Compute the soft shadow that an object casts on the plane below it.

    Args:
        coverage: Share of the pixel that it covers, float32 (H, W) in [0, 1].
        height: Height above the plane, float32 (H, W), units.
        light: Light of the scene.
        scale: Pixels per unit of the planes.

    Returns:
        float32 (H, W) in [0, 1], 1 if the lamp is fully hidden.
    """
    lx, ly, lz = light.toward
    top = float(height.max())
    shadow = np.zeros_like(coverage)
    for step in (0.25, 0.5, 0.75, 1.0):  # slice by slice, each cast further than the one below
        reach = step * top * scale / lz
        move = np.array([[1, 0, -lx * reach], [0, 1, -ly * reach]], dtype=np.float32)
        slice_ = coverage * np.clip(height * (4 / top) - (4 * step - 1), 0, 1)
        shadow = np.maximum(shadow, cv2.warpAffine(slice_, move, coverage.shape[::-1]))
    # The lamp is wide: the penumbra widens with the height of the edge that casts it.
    soft = cv2.GaussianBlur(shadow, (0, 0), max(0.4, _PENUMBRA * top * scale))
    contact = cv2.GaussianBlur(coverage, (0, 0), max(0.4, _CONTACT * scale))
    dark: F32 = cv2.max(soft, 0.4 * contact)
    return dark


def shadow_reach(relief: Relief, light: Light) -> float:
    """Compute the distance that the shadow of a relief reaches beyond it, units."""
    top = float(relief.height.max())
    thrown = top * float(np.hypot(*light.toward[:2])) / light.toward[2]
    return 3 * _CONTACT + thrown + 3 * _PENUMBRA * top


def cloud(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> F32:
    """Draw a smooth random field, as of dirt, wear and crumpled paper.

    Args:
        rng: Random generator.
        shape: Rows and columns.
        grain: Size of the blotches, px.

    Returns:
        float32 of the shape, mean about 0 and standard deviation about 1.
    """
    rows, columns = (max(2, round(n / max(grain, 1.0)) + 1) for n in shape)
    # One draw for any shape, so that a part at another resolution keeps all its other draws.
    own = np.random.default_rng(rng.integers(2**63))
    seeds = own.standard_normal((rows, columns), dtype=np.float32)
    field: F32 = cv2.resize(seeds, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return field * np.float32(1.35)  # makes up for the spread that interpolation takes away


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Draw one of some choices."""
    return choices[int(rng.integers(len(choices)))]


def _normals(height: F32, tilt: tuple[float, float], scale: float) -> tuple[F32, F32, F32]:
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=scale / 8)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=scale / 8)
    slope_x = np.clip(slope_x, -_MAX_SLOPE, _MAX_SLOPE) + np.float32(tilt[0])
    slope_y = np.clip(slope_y, -_MAX_SLOPE, _MAX_SLOPE) + np.float32(tilt[1])
    nz = 1 / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    return -slope_x * nz, -slope_y * nz, nz


def _glint(nx: F32, ny: F32, nz: F32, light: Light, gloss: float) -> F32:
    """Compute the highlights in which the surface mirrors the lamp."""
    lx, ly, lz = light.toward
    half = float(np.sqrt(lx * lx + ly * ly + (lz + 1) ** 2))
    glint: F32 = np.maximum((nx * lx + ny * ly + nz * (lz + 1)) / half, 0)
    for _ in range(3 + round(3 * gloss)):  # repeated squaring: a power of 8 to 64, faster than pow()
        glint *= glint
    return glint * (0.08 + 0.45 * gloss)


def _surroundings(nx: F32, ny: F32, nz: F32, light: Light) -> F32:
    """Compute what bare metal mirrors: a hall brighter on the side of the lamp, the lamp, a dark floor."""
    lx, ly, lz = light.toward
    rx, ry, rz = 2 * nz * nx, 2 * nz * ny, 2 * nz * nz - 1
    side = (rx * lx + ry * ly) / float(np.hypot(lx, ly))
    hall = 0.30 + 0.42 * side - 0.2 * np.clip(-rz, 0.0, 1.0)
    lamp = np.clip((rx * lx + ry * ly + rz * lz - 0.72) / 0.25, 0.0, 1.0)
    mirrored: F32 = np.maximum(hall, 0.05) + 1.1 * lamp * lamp * (3 - 2 * lamp)
    return mirrored


def _openness(height: F32, scale: float) -> F32:
    """Compute ambient occlusion: the share of the hall that a point sees."""
    around = cv2.blur(height, (2 * round(2.5 * scale) + 1,) * 2)
    openness: F32 = 1 - np.clip((around - height) * 0.09, 0, 0.6)
    return openness
