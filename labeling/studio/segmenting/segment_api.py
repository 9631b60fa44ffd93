"""API of masks: a frame is encoded once, then clicks and boxes on it are answered in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, Len
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from edgeloop.labeling.sam import InteractiveSegmenter
from edgeloop.labeling.studio.project import Project
from edgeloop.labeling.studio.segmenting.encoded_frames import EncodedFrame, EncodedFrames
from edgeloop.labeling.studio.segmenting.find_object import find_by_clicks, snap_box
from edgeloop.models.errors import DataError

__all__ = ["segment_api"]

_Pixel = Annotated[float, Ge(0), Le(1 << 20)]
_Box = tuple[_Pixel, _Pixel, _Pixel, _Pixel]


class _Encoded(BaseModel):
    """True if the frame is encoded; false if frames that were asked for later took its place."""

    encoded: bool


class _Clicks(BaseModel):
    """Clicks on one object: points in pixels of the frame, and for each 1 (on it) or 0 (beside it)."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    points: Annotated[list[tuple[_Pixel, _Pixel]], Len(1, 100)]
    labels: list[Annotated[int, Ge(0), Le(1)]]

    @model_validator(mode="after")
    def _has_labels(self) -> _Clicks:
        if len(self.labels) != len(self.points):
            raise ValueError(
                f"expected a label for each of {len(self.points)} points, got {len(self.labels)}"
            )
        return self


class _Mask(BaseModel):
    """Mask: predicted IoU, box around it, and its parts, each x, y, x, y, ... in pixels of the frame."""

    score: float
    xyxy: _Box
    polygons: tuple[tuple[float, ...], ...]


class _Masks(BaseModel):
    """Masks that the clicks may mean, best first."""

    masks: list[_Mask]


class _Dragged(BaseModel):
    """Box that was dragged, in pixels of the frame."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    xyxy: _Box

    @model_validator(mode="after")
    def _has_area(self) -> _Dragged:
        x1, y1, x2, y2 = self.xyxy
        if x2 <= x1 or y2 <= y1:
            raise ValueError(f"xyxy: expected x1 < x2 and y1 < y2, got {self.xyxy}")
        return self


class _Snapped(BaseModel):
    """Object in a dragged box; the box as it was and a score of null if none fits."""

    score: float | None
    xyxy: _Box
    polygons: tuple[tuple[float, ...], ...]


def segment_api(project: Project, load: Callable[[], InteractiveSegmenter]) -> APIRouter:
    """Build the API of masks.

    Args:
        project: The project.
        load: Loads the segmenter, with the first frame that is encoded.
    """
    api = APIRouter(tags=["masks"])
    frames = EncodedFrames(load, project.image)

    @api.post("/frames/{number}/encode")
    def encode(number: int) -> _Encoded:
        """Encode a frame ahead, so that the first click on it is fast."""
        project.entry(number)
        return _Encoded(encoded=frames.prefetch(number))

    @api.post("/frames/{number}/masks")
    def masks(number: int, clicks: _Clicks) -> _Masks:
        """Masks of the object that is clicked on, best first, at most three."""
        points = np.array(clicks.points, dtype=np.float32)
        labels = np.array(clicks.labels, dtype=np.float32)
        frame = frames.get(number)
        _check_inside(frame, number, points)
        found = find_by_clicks(frame.segmenter, points, labels)
        return _Masks(
            masks=[
                _Mask(score=each.score, xyxy=each.outline.xyxy, polygons=each.outline.polygons)
                for each in found
            ]
        )

    @api.post("/frames/{number}/snap")
    def snap(number: int, dragged: _Dragged) -> _Snapped:
        """Object in a dragged box; the box itself, with a score of null, if none fits it."""
        frame, xyxy = frames.get(number), np.array(dragged.xyxy, dtype=np.float32)
        _check_inside(frame, number, xyxy.reshape(2, 2))
        found = snap_box(frame.segmenter, xyxy)
        if found is None:
            return _Snapped(score=None, xyxy=dragged.xyxy, polygons=())
        return _Snapped(score=found.score, xyxy=found.outline.xyxy, polygons=found.outline.polygons)

    return api


def _check_inside(frame: EncodedFrame, number: int, points: NDArray[np.float32]) -> None:
    if (points > (frame.width, frame.height)).any():
        raise DataError(
            f"frame {number}: expected points inside {frame.width}x{frame.height} px, got "
            f"{', '.join(f'({x:g}, {y:g})' for x, y in points)}"
        )
