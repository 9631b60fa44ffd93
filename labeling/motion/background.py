"""Background subtraction for a fixed camera, by sample consensus.

Frames that `edgeloop collect` keeps are seconds apart, so nothing is tracked between them. A pixel is
background if enough of the sampled frames show the same color there, as in ViBe (Barnich and Van
Droogenbroeck, 2011); so a tree in the wind or a blinking lamp is background in each of its states. With one
median color for each pixel, labels of a street had a precision of 0.64 instead of 0.79 and a recall of 0.15
instead of 0.19.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from threading import get_ident
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import read_image
from edgeloop.labeling.motion.alignment import estimate_shift, match_exposure, translate
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["SAMPLES", "Background", "Change", "learn_background"]

SAMPLES = 40
"""Frames that are kept: some 60 MB, however long the footage."""

_MIN_SAMPLES = 8
_LONG_SIDE_PX = 960
_SAME_COLOR = 15  # of 255, in each channel: sensor noise and JPEG
_CONSENSUS = 0.25  # share of the samples that show a background pixel's color
_SHADOW = (0.6, 0.95)  # relative brightness in a shadow
_SHADOW_TINT = 8  # of 255: maximum change of color in a shadow
_MAX_CHANGED = 0.5  # of the frame; beyond, the camera moved or the light changed


class Change(NamedTuple):
    """Difference of a frame from the background.

    Attributes:
        mask: bool (H, W), foreground pixels; all False if there is a problem.
        problem: Reason why the frame cannot be compared; None if there is none.
    """

    mask: NDArray[np.bool_]
    problem: str | None


class Background:
    """Background model of a fixed camera."""

    def __init__(self, samples: NDArray[np.uint8], frame_size: tuple[int, int]) -> None:
        """Build the model from samples (N, h, w, 3) BGR; `frame_size` is width and height, px."""
        self._frame_size = frame_size
        self._needed = max(2, round(_CONSENSUS * len(samples)))
        self._median = np.median(samples, axis=0).astype(np.uint8)
        self._samples = np.stack([self._stabilized(sample)[0] for sample in samples])
        self._last: dict[int, tuple[NDArray[np.uint8], Change]] = {}  # of each thread

    @property
    def digest(self) -> str:
        """sha256 of everything that a comparison depends on."""
        return hashlib.sha256(repr(self._frame_size).encode() + self._samples.tobytes()).hexdigest()

    def compare(self, image: NDArray[np.uint8]) -> Change:
        """Segment the foreground of a frame, HxWx3 uint8 BGR, without shadows; no other frame matters."""
        last = self._last.get(get_ident())
        if last is None or not np.array_equal(last[0], image):
            last = image.copy(), self._compared(image)  # prompter and scorer compare the same frame
            self._last[get_ident()] = last
        return last[1]

    def _compared(self, image: NDArray[np.uint8]) -> Change:
        height, width = image.shape[:2]
        nothing = np.zeros((height, width), bool)
        if (width, height) != self._frame_size:
            usual = "x".join(map(str, self._frame_size))
            return Change(nothing, f"{width}x{height} px, the camera's other frames are {usual}")
        change = self.compare_prepared(_prepared(image))
        if change.problem is not None:
            return Change(nothing, change.problem)
        mask = cv2.resize(change.mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        return Change(mask > 0, None)

    def compare_prepared(self, small: NDArray[np.uint8]) -> Change:
        """Compare like `compare`, at the size of the samples."""
        steady, (right, down) = self._stabilized(small)
        changed = self._foreground(steady)
        if changed.mean() > _MAX_CHANGED:
            problem = f"{changed.mean():.0%} of it changed: the camera moved or the light switched"
            return Change(np.zeros_like(changed), problem)
        changed[changed] = ~_in_shadow(steady[changed], self._median[changed])
        cleaned = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_OPEN, _disc(3))
        cleaned = cv2.morphologyEx(cleaned, cv2.MORPH_CLOSE, _disc(5))
        moved_back = translate(np.asarray(cleaned, np.uint8), (-right, -down))
        return Change(moved_back > 0, None)

    def _stabilized(self, small: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Match the median frame in exposure and position; also the shift in pixels."""
        lit = match_exposure(small, self._median)
        shift = estimate_shift(lit, self._median)
        return translate(lit, shift), shift

    def _foreground(self, small: NDArray[np.uint8]) -> NDArray[np.bool_]:
        alike = np.zeros(small.shape[:2], np.uint8)
        for sample in self._samples:
            blue, green, red = cv2.split(cv2.absdiff(small, sample))
            alike += cv2.max(cv2.max(blue, green), red) <= _SAME_COLOR
        return np.asarray(alike < self._needed)


def learn_background(paths: Sequence[Path]) -> Background:
    """Learn the background from frames of one fixed camera.

    Of the frames, in time order, `SAMPLES` are read, spread evenly.

    Raises:
        NoInputError: Too few of the frames can be read.
        DataError: They are of different sizes, or most of them differ from the rest as a whole.
    """
    chosen = np.unique(np.linspace(0, len(paths) - 1, SAMPLES).round().astype(int))
    images = [image for row in chosen if (image := _small_and_size(paths[row])) is not None]
    if len(images) < _MIN_SAMPLES:
        raise NoInputError(
            f"motion: {len(images)} of the {len(chosen)} frames looked at can be read; "
            f"a background needs {_MIN_SAMPLES} or more frames"
        )
    sizes = {size for _, size in images}
    if len(sizes) > 1:
        raise DataError(
            f"motion: frames are of different sizes ({', '.join(f'{w}x{h}' for w, h in sorted(sizes))}); "
            "label the frames of each fixed camera on their own"
        )
    background = Background(np.stack([small for small, _ in images]), sizes.pop())
    problems = [p for small, _ in images if (p := background.compare_prepared(small).problem) is not None]
    if len(problems) > _MAX_CHANGED * len(images):
        raise DataError(
            f"motion: {len(problems)} of {len(images)} frames looked at differ from the others as a whole "
            f"(one: {problems[0]}); expected a fixed camera; for a moving one draw boxes on a few frames, "
            "and give them with -e"
        )
    return background


def _in_shadow(colors: NDArray[np.uint8], background: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Detect shadows (Horprasert et al., 1999): bool (N,), True for the background's color, darker."""
    here, there = colors.astype(np.float32), background.astype(np.float32)
    light = (here * there).sum(axis=1) / np.maximum((there * there).sum(axis=1), 1)
    tint = np.abs(here - light[:, None] * there).max(axis=1)
    return np.asarray((light > _SHADOW[0]) & (light < _SHADOW[1]) & (tint < _SHADOW_TINT))


def _small_and_size(path: Path) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    image = read_image(path)
    return None if image is None else (_prepared(image), (image.shape[1], image.shape[0]))


def _prepared(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize to the working size and blur."""
    scale = _LONG_SIDE_PX / max(image.shape)
    if scale < 1:
        image = np.asarray(
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
    return np.asarray(cv2.GaussianBlur(image, (3, 3), 0), np.uint8)


def _disc(diameter: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter)), np.uint8)
