"""Augmentation: scale, shift, mirror, mosaic of four images, color."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Augmentation", "Canvas", "Sample", "augmented", "resized"]

Image = NDArray[np.uint8]
_PAD_VALUE = 114  # as in the detector's letterbox
_LEAST_VISIBLE = 0.2  # share of a box's area that must remain
_LEAST_SIDE = 2.0  # px


@dataclass(frozen=True, eq=False)
class Sample:
    """Image with its labels.

    Attributes:
        image: HxWx3 uint8 BGR.
        class_id: int64 (N,).
        xyxy: float32 (N, 4), px of the image.
        outlines: A polygon for each box, float32 (P, 2) x, y in px of the image, of which what is in the box
            counts; None for labels that are boxes.
    """

    image: Image
    class_id: NDArray[np.int64]
    xyxy: NDArray[np.float32]
    outlines: tuple[NDArray[np.float32], ...] | None = None


class Canvas(NamedTuple):
    """Size of the images of a batch.

    Attributes:
        width: Width, px.
        height: Height, px.
        longest: Long side of an image in it at scale 1, px.
    """

    width: int
    height: int
    longest: int


@dataclass(frozen=True)
class Augmentation:
    """Strength of each augmentation.

    Attributes:
        mosaic: Probability of joining four images.
        scale: Largest change of the size, as a share: 0.3 for 0.7 to 1.3.
        shift: Largest shift of an image that fits, as a share of the long side.
        mirror: Probability of a left-right mirror image.
        hue: Largest change of the hue, as a share of the color circle.
        saturation: Largest relative change of the saturation.
        brightness: Largest relative change of the brightness.
    """

    mosaic: float = 0.5
    scale: float = 0.3
    shift: float = 0.1
    mirror: float = 0.5
    hue: float = 0.01
    saturation: float = 0.4
    brightness: float = 0.3


def resized(sample: Sample, longest: int) -> Sample:
    """Shrink a sample whose long side is above `longest` px to it."""
    height, width = sample.image.shape[:2]
    ratio = longest / max(height, width)
    if ratio >= 1:
        return sample
    size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
    image = np.asarray(cv2.resize(sample.image, size), np.uint8)
    outlines = (
        None if sample.outlines is None else tuple(each * np.float32(ratio) for each in sample.outlines)
    )
    return Sample(image, sample.class_id, sample.xyxy * np.float32(ratio), outlines)


def augmented(
    first: Sample,
    draw: Callable[[], Sample],
    canvas: Canvas,
    settings: Augmentation,
    rng: np.random.Generator,
) -> Sample:
    """Augment a sample.

    Args:
        first: The sample.
        draw: Draws another sample, for a mosaic.
        canvas: Size of the result, and the size of an image in it.
        settings: Strength of each augmentation.
        rng: Source of randomness.

    Returns:
        A sample of the canvas' size; boxes of which less than a fifth remains are left out.
    """
    width, height = canvas.width, canvas.height
    if rng.random() < settings.mosaic:
        samples = [first, draw(), draw(), draw()]
        x, y = int(width * rng.uniform(0.25, 0.75)), int(height * rng.uniform(0.25, 0.75))
        windows = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
        windows = [windows[place] for place in rng.permutation(4)]
    else:
        samples, windows = [first], [(0, 0, width, height)]
    pairs = zip(samples, windows, strict=True)
    maps = [_into_window(each, window, canvas.longest, settings, rng) for each, window in pairs]
    result = _placed(samples, maps, windows, canvas)
    if rng.random() < settings.mirror:
        result = _mirrored(result)
    _jitter_color(result.image, settings, rng)
    return result


def _into_window(
    sample: Sample,
    window: tuple[int, int, int, int],
    longest: int,
    settings: Augmentation,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Affine map (2, 3) that shows an image in a window: a random part, or the whole within the shift."""
    height, width = sample.image.shape[:2]
    ratio = (1 + settings.scale * rng.uniform(-1, 1)) * longest / max(width, height)
    x1, y1, x2, y2 = window
    offsets = []
    for low, high, size in ((x1, x2, ratio * width), (y1, y2, ratio * height)):
        free = high - low - size
        reach = max(-free / 2, settings.shift * longest)
        offsets.append(low + free / 2 + reach * rng.uniform(-1, 1))
    return np.array([[ratio, 0, offsets[0]], [0, ratio, offsets[1]]])


def _placed(
    samples: list[Sample],
    maps: list[NDArray[np.float64]],
    windows: list[tuple[int, int, int, int]],
    canvas: Canvas,
) -> Sample:
    """Draw samples through their maps, each within its window."""
    image = np.full((canvas.height, canvas.width, 3), _PAD_VALUE, np.uint8)
    class_ids, boxes = [], []
    outlines: list[NDArray[np.float32]] | None = None if samples[0].outlines is None else []
    for sample, affine, (x1, y1, x2, y2) in zip(samples, maps, windows, strict=True):
        local = affine - [[0, 0, x1], [0, 0, y1]]
        # cv2 maps pixel centers, boxes are edges: half a pixel between the two.
        local[:, 2] += 0.5 * np.diag(local[:, :2]) - 0.5
        image[y1:y2, x1:x2] = cv2.warpAffine(
            sample.image, local, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT, borderValue=(_PAD_VALUE,) * 3,
        )  # fmt: skip
        moved = sample.xyxy * np.tile(np.diag(affine[:, :2]), 2) + np.tile(affine[:, 2], 2)
        clipped = moved.clip((x1, y1, x1, y1), (x2, y2, x2, y2))
        size, whole = clipped[:, 2:] - clipped[:, :2], moved[:, 2:] - moved[:, :2]
        kept = (size.min(axis=1, initial=np.inf) >= _LEAST_SIDE) & (
            size.prod(axis=1) >= _LEAST_VISIBLE * whole.prod(axis=1)
        )
        class_ids.append(sample.class_id[kept])
        boxes.append(clipped[kept].astype(np.float32))
        if outlines is not None and sample.outlines is not None:
            # Not clipped: the box is, and what is outside of it does not count.
            placed = (sample.outlines[row] for row in kept.nonzero()[0])
            outlines += [(each * np.diag(affine[:, :2]) + affine[:, 2]).astype(np.float32) for each in placed]
    return Sample(
        image,
        np.concatenate(class_ids),
        np.concatenate(boxes),
        None if outlines is None else tuple(outlines),
    )


def _mirrored(sample: Sample) -> Sample:
    width = sample.image.shape[1]
    xyxy = sample.xyxy.copy()
    xyxy[:, [0, 2]] = width - xyxy[:, [2, 0]]
    outlines = sample.outlines
    if outlines is not None:
        outlines = tuple(
            np.array((width, 0), np.float32) + each * np.array((-1, 1), np.float32) for each in outlines
        )
    return Sample(np.asarray(cv2.flip(sample.image, 1), np.uint8), sample.class_id, xyxy, outlines)


def _jitter_color(image: Image, settings: Augmentation, rng: np.random.Generator) -> None:
    """Change hue, saturation and brightness in place."""
    limits = np.array((settings.hue, settings.saturation, settings.brightness))
    hue, saturation, brightness = 1 + rng.uniform(-1, 1, 3) * limits
    levels = np.arange(256, dtype=np.float64)
    table = np.stack(
        (
            (levels + (hue - 1) * 180) % 180,
            (levels * saturation).clip(0, 255),
            (levels * brightness).clip(0, 255),
        ),
        axis=1,
    ).astype(np.uint8)
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    cv2.cvtColor(cv2.LUT(hsv, table[None]), cv2.COLOR_HSV2BGR, dst=image)
