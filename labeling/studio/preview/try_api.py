"""API of the exported bundle: its boxes beside the labels, and on a clip or camera."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np
from annotated_types import Len
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edgeloop.edge.source_name import shown_name
from edgeloop.edge.web.web_app import ends_with
from edgeloop.labeling.studio.finished_dataset import FinishedDataset, LabeledFrame, ScoredBox
from edgeloop.labeling.studio.jobs.runner import command_line
from edgeloop.labeling.studio.jobs.verb_options import shown_path
from edgeloop.labeling.studio.label_outlines import Polygons
from edgeloop.labeling.studio.preview.bundle_frames import BundleFrames, rank_frames
from edgeloop.labeling.studio.preview.live_preview import BOUNDARY, LivePreview, PreviewStatus
from edgeloop.labeling.studio.project import Project

__all__ = ["try_api"]

_Confidence = Annotated[float, Field(ge=0, le=1)]
_RANKED = 200


class _Bundle(BaseModel):
    """The exported bundle.

    Attributes:
        file: The bundle, an ONNX file; null if there is none.
        others: Names of the bundles of other engines, which are not tried here.
        names: Its class names.
        confidence: Minimum score with which it was exported.
        labels: True if there is a dataset to compare it with.
    """

    file: str | None
    others: list[str]
    names: list[str] = []
    confidence: float = 0.25
    labels: bool


class _Compared(BaseModel):
    """Boxes of the bundle and labels of one frame, in its pixels.

    Attributes:
        found: Boxes of the bundle, from a confidence of 0.05 on.
        labels: Labels; null if the frame is not in the dataset.
        split: Part of the dataset, "train" or "val"; null if it is in none.
    """

    found: list[ScoredBox]
    labels: tuple[ScoredBox, ...] | None
    split: str | None


class _Difference(BaseModel):
    """Difference between the boxes of a frame and its labels.

    Attributes:
        number: Number of the frame.
        extra: Boxes that have no label.
        missed: Labels that have no box.
    """

    number: int
    extra: int
    missed: int


class _Differences(BaseModel):
    """Frames compared so far, those that differ most first.

    Attributes:
        compared: Number of frames compared so far.
        total: Number of frames with labels.
        frames: Those that differ.
    """

    compared: int
    total: int
    frames: list[_Difference]


class _Source(BaseModel):
    """Source to try the bundle on.

    Attributes:
        source: Source as for `edgeloop run`.
        confidence: Minimum score of boxes that are drawn.
    """

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Len(1, 2000)]
    confidence: _Confidence = 0.25


class _Preview(PreviewStatus):
    """State of the preview, and the command line that does the same; secrets of an address are stars."""

    command: str = ""


def try_api(project: Project, dataset: FinishedDataset) -> APIRouter:
    """Build the API of a project's bundle, which is compared with the labels of `dataset`."""
    bundle, live = BundleFrames(project), LivePreview(project.events)

    def close() -> None:
        bundle.close()
        live.stop()

    api = APIRouter(prefix="/try", tags=["try"], lifespan=ends_with(close))

    def labeled() -> dict[int, LabeledFrame]:
        frames = dataset.frames
        return {
            number: frames[entry.name] for number, entry in enumerate(project.entries) if entry.name in frames
        }

    @api.get("")
    def describe() -> _Bundle:
        """Describe the bundle."""
        labels = (project.dataset / "instances.json").is_file()
        others = [path.name for path in project.bundles if path != project.bundle]
        if not project.bundle.is_file():
            return _Bundle(file=None, others=others, labels=labels)
        names = list(bundle.detector().names)
        return _Bundle(file=shown_path(project.bundle), others=others, names=names, labels=labels)

    @api.get("/frames/{number}")
    def compare(number: int) -> _Compared:
        """Boxes of the bundle and labels of a frame."""
        entry = project.entry(number)
        found, names = bundle.detect(number), bundle.detector().names
        own = dataset.frames.get(entry.name)
        rows = zip(found.xyxy.tolist(), found.confidence.tolist(), found.class_id.tolist(), strict=True)
        shapes = [()] * len(found) if found.masks is None else found.masks.outlines()
        boxes = [
            ScoredBox(tuple(xyxy), names[class_id], round(score, 3), _polygons(shape))
            for (xyxy, score, class_id), shape in zip(rows, shapes, strict=True)
        ]
        labels, split = (None, None) if own is None else (dataset.outlined(entry.name), own.split)
        return _Compared(found=boxes, labels=labels, split=split)

    @api.post("/compare")
    def start_comparison() -> _Differences:
        """Run the bundle on frames all over the project, 500 at most, in the background."""
        bundle.compare()
        return _Differences(compared=bundle.compared, total=bundle.to_compare, frames=[])

    @api.get("/differences")
    def differences(confidence: Annotated[float, Query(ge=0, le=1)] = 0.25) -> _Differences:
        """Frames on which boxes and labels differ most, among those compared so far."""
        names = tuple(bundle.detector().names)
        ranked = rank_frames(bundle.found(), names, labeled(), confidence)[:_RANKED]
        frames = [_Difference(number=number, extra=extra, missed=missed) for number, extra, missed in ranked]
        return _Differences(compared=bundle.compared, total=bundle.to_compare, frames=frames)

    @api.get("/preview")
    def preview() -> PreviewStatus:
        """State of the preview."""
        return live.status()

    @api.post("/preview/start")
    def start(body: _Source) -> _Preview:
        """Run the bundle on a clip or camera; the one before is closed."""
        text = body.source.strip()
        status = live.start(text, bundle.detector, body.confidence)
        arguments = ["run", shown_path(project.bundle), shown_name(text)]
        if body.confidence != 0.25:
            arguments += ["--confidence", f"{body.confidence:g}"]
        return _Preview(**dict(status), command=command_line(arguments))

    @api.post("/preview/stop")
    def stop() -> PreviewStatus:
        """Close the clip or camera."""
        live.stop()
        return live.status()

    @api.get("/preview/video", response_class=StreamingResponse)
    def video() -> StreamingResponse:
        """Pictures with boxes while the preview runs, motion JPEG."""
        live.check_room()
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return StreamingResponse(live.pictures(), media_type=kind)

    return api


def _polygons(contours: Iterable[NDArray[np.float32]]) -> Polygons:
    """Contours through the middles of pixels, (P, 2) each, as polygons of the page: 0.5 is a middle there."""
    return tuple(tuple((contour + 0.5).ravel().tolist()) for contour in contours)
