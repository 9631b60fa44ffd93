"""Ignore mask of a source: regions in which nothing is reported, as a picture or as zones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.tracking.zone_file import Zone, ZoneFile, check_places, read_zones, same_shape
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["IgnoreMask"]

_COVERED = 0.5
_WHITE = 127
_BLACK_TO, _WHITE_FROM = 40, 215
_MAX_GRAY = 0.1  # share of a mask: the soft edges of its regions
_SIDE = 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """Picture of a mask, its integral image, and the classes that it is for, None for all."""

    white: NDArray[np.bool_]
    integral: NDArray[np.int32]
    classes: list[int] | None

    @classmethod
    def new(cls, white: NDArray[np.bool_], classes: list[int] | None) -> _Layer:
        return cls(white, cv2.integral(white.view(np.uint8)), classes)


class IgnoreMask:
    """Drops detections of which more than half is in a region to ignore: of the mask, or else of the box."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        """Read a mask.

        Args:
            path: Picture, white where objects are ignored; or a zone file (.json), whose zones are ignored,
                for their `classes` alone if they have some.
            names: The model's class names.

        Raises:
            NoInputError: There is no such file.
            DataError: The file is malformed, has lines, is a picture other than black and white, or ignores
                nothing or everything.
        """
        self._path, self._names = path, names
        self._zones: ZoneFile | None = None
        self._size = self._drawn = (0, 0)
        self._layers: list[_Layer] = []
        if path.suffix.lower() == ".json":
            self._zones = read_zones(path, names, origin="ignore")
            if self._zones.lines:
                raise DataError(f"ignore {path}: has lines, which have no area; expected zones alone")
            return
        if not path.is_file():
            raise NoInputError(f"ignore {path}: no such file")
        brightness = require_image(path).max(axis=2)
        gray = float(((brightness > _BLACK_TO) & (brightness < _WHITE_FROM)).mean())
        if gray > _MAX_GRAY:
            raise DataError(
                f"ignore {path}: is no mask but a picture in shades ({gray:.0%} of it is neither black nor "
                "white); paint white what to ignore, the rest black"
            )
        white = brightness > _WHITE
        if white.all() or not white.any():
            kind = "all white, so everything" if white.all() else "without white, so nothing"
            raise DataError(
                f"ignore {path}: {kind} would be ignored; paint white what to ignore, the rest black"
            )
        self._layers = [_Layer.new(white, None)]
        self._drawn = (white.shape[1], white.shape[0])

    def drop(self, detections: Detections, size: tuple[int, int]) -> Detections:
        """Select the detections that are not ignored.

        Args:
            detections: Detections in pixels of the frame.
            size: (width, height) of the frame in pixels.

        Returns:
            Those of which no region to ignore covers more than half of the mask; of the box without masks.

        Raises:
            DataError: The mask was made for frames of another shape, or its zones cover all of them.
        """
        if size != self._size:
            self._fit(size)
        kept = np.ones(len(detections), bool)
        for layer in self._layers:
            ignored = _covered(layer, detections, size) > _COVERED
            if layer.classes is not None:
                ignored &= np.isin(detections.class_id, layer.classes)
            kept &= ~ignored
        return detections[kept]

    def _fit(self, size: tuple[int, int]) -> None:
        """Place the mask on frames of a new size."""
        zones = self._zones
        if zones is not None and (zones.in_shares or not self._layers):
            check_places(f"ignore {self._path}", zones, size)
            placed = zones.scaled(*size) if zones.in_shares else zones
            self._layers = [self._layer(zone, size) for zone in placed.zones]
            self._drawn = size
            whole = [layer.white for layer in self._layers if layer.classes is None]
            if whole and np.logical_or.reduce(whole).all():
                raise DataError(
                    f"ignore {self._path}: its zones cover the whole picture, so everything would be "
                    "ignored; draw only what to ignore"
                )
        if not same_shape(size, self._drawn):
            made_for, given = ("x".join(map(str, each)) for each in (self._drawn, size))
            raise DataError(
                f"ignore {self._path}: was made for frames of {made_for}, these are {given}; "
                "give a mask of their shape"
            )
        self._size = size

    def _layer(self, zone: Zone, size: tuple[int, int]) -> _Layer:
        """Draw a zone in pixels of frames of a size."""
        scale = _SIDE / max(size)
        grid = np.zeros((max(round(size[1] * scale), 1), max(round(size[0] * scale), 1)), np.uint8)
        cv2.fillPoly(grid, [(np.array(zone.polygon) * scale).round().astype(np.int32)], 1)
        classes = None if zone.classes is None else [self._names.index(name) for name in zone.classes]
        return _Layer.new(grid.astype(np.bool_), classes)


def _covered(layer: _Layer, detections: Detections, size: tuple[int, int]) -> NDArray[np.float64]:
    """Share of each object, (N,), that the white of a mask covers."""
    shares = _covered_boxes(layer.integral, detections.xyxy, size)
    masks = detections.masks
    if masks is None:
        return shares
    scale = np.array(layer.white.shape[::-1]) / size
    for row in np.flatnonzero((shares > 0) & (shares < 1)):
        window = masks.windows[row]
        lines, columns = window.nonzero()
        if len(lines):
            points = np.stack((columns, lines), axis=1) + masks.corners[row] + 0.5
            x, y = (points * scale).astype(np.int64).T
            shares[row] = layer.white[y, x].mean()
    return shares


def _covered_boxes(
    integral: NDArray[np.int32], xyxy: NDArray[np.float32], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Share of each box, (N,), that the white of a mask covers."""
    limits = np.array([integral.shape[1] - 1, integral.shape[0] - 1])
    scaled = xyxy * np.tile(limits / size, 2)
    low = np.clip(np.floor(scaled[:, :2]).astype(np.int64), 0, limits - 1)
    high = np.clip(np.ceil(scaled[:, 2:]).astype(np.int64), low + 1, limits)
    (x1, y1), (x2, y2) = low.T, high.T
    white = integral[y2, x2] - integral[y1, x2] - integral[y2, x1] + integral[y1, x1]
    return np.asarray(white / (high - low).prod(axis=1), np.float64)
