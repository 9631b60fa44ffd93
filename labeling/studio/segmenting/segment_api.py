"""API of masks: a frame is encoded once, then clicks and boxes on it are answered in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, Len
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from edgeloop.labeling.sam import InteractiveSegmenter
from edgeloop.labeling.studio.exemplar_file import ClassName
from edgeloop.labeling.studio.project import Project
from edgeloop.labeling.studio.segmenting.encoded_frames import EncodedFrame, EncodedFrames
from edgeloop.labeling.studio.segmenting.find_object import find_by_clicks
from edgeloop.labeling.studio.segmenting.outline import Found
from edgeloop.labeling.studio.segmenting.snap_box import snap_box
from edgeloop.models.errors import DataError

__all__ = ["segment_api"]

_SIZES = 4  # drawn boxes that tell the size of a class
_Pixel = Annotated[float, Ge(0), Le(1 << 20)]
_Box = tuple[_Pixel, _Pixel, _Pixel, _Pixel]


class _Encoded(BaseModel):
    """Reply to a request to encode a frame.

    Attributes:
        encoded: True if the frame is encoded; false if frames that were asked for later took its place.
    """

    encoded: bool


class _Clicks(BaseModel):
    """Clicks on one object.

    Attributes:
        points: Places in pixels of the frame.
        labels: For each, 1 (on the object) or 0 (beside it).
        name: Class of the object, whose drawn boxes tell its size; null if unknown.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    points: Annotated[list[tuple[_Pixel, _Pixel]], Len(1, 100)]
    labels: list[Annotated[int, Ge(0), Le(1)]]
    name: ClassName | None = None

    @model_validator(mode="after")
    def _has_labels(self) -> _Clicks:
        if len(self.labels) != len(self.points):
            raise ValueError(
                f"expected a label for each of {len(self.points)} points, got {len(self.labels)}"
            )
        return self


class _Masks(BaseModel):
    """Masks that the clicks may mean, best first.

    Attributes:
        masks: The masks.
    """

    masks: list[Found]


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
        sizes = _sizes(project, number, clicks.name)
        return _Masks(masks=find_by_clicks(frame, points, labels, sizes))

    @api.post("/frames/{number}/snap")
    def snap(number: int, dragged: _Dragged) -> _Snapped:
        """Object in a dragged box; the box itself, with a score of null, if none fits it."""
        frame, xyxy = frames.get(number), np.array(dragged.xyxy, dtype=np.float32)
        _check_inside(frame, number, xyxy.reshape(2, 2))
        found = snap_box(frame, xyxy)
        if found is None:
            return _Snapped(score=None, xyxy=dragged.xyxy, polygons=())
        return _Snapped(score=found.score, xyxy=found.xyxy, polygons=found.polygons)

    return api


def _sizes(project: Project, number: int, name: str | None) -> NDArray[np.float32]:
    """Width and height of drawn boxes of a class (N, 2), those of this frame first and the latest of them."""
    if name is None:
        return np.empty((0, 2), dtype=np.float32)
    own = project.entry(number).name
    drawn = project.drawn.drawn()
    others = (frame for file, frame in drawn.items() if file != own)
    frames = [*([drawn[own]] if own in drawn else []), *others]
    boxes = (box.xyxy for frame in frames for box in reversed(frame.boxes) if box.name == name)
    sizes = [(x2 - x1, y2 - y1) for x1, y1, x2, y2 in islice(boxes, _SIZES)]
    return np.array(sizes, dtype=np.float32).reshape(-1, 2)


def _check_inside(frame: EncodedFrame, number: int, points: NDArray[np.float32]) -> None:
    if (points > frame.size).any():
        raise DataError(
            f"frame {number}: expected points inside {frame.size[0]}x{frame.size[1]} px, got "
            f"{', '.join(f'({x:g}, {y:g})' for x, y in points)}"
        )
