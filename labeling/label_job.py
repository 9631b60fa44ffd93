"""Labeling of a frame as a job for workers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeloop.edge.host.image_bytes import decode_image
from edgeloop.labeling.build import LabelingModels
from edgeloop.labeling.frames.frame_look import FrameLook
from edgeloop.labeling.frames.frame_store import FrameStore
from edgeloop.labeling.inputs.exemplars import ExemplarFrame
from edgeloop.labeling.labeler import FrameLabeler, label_exemplar
from edgeloop.labeling.ledger import FrameResult, LabeledRow

__all__ = ["LabelItem", "LabelJob"]


@dataclass(frozen=True, slots=True)
class LabelItem:
    """Frame to label.

    Attributes:
        file: Name of the image in its store.
        name: `file` as datasets name it.
        drawn: Boxes of a person on it; None if it is to be labeled.
    """

    file: str
    name: str
    drawn: ExemplarFrame | None


@dataclass(frozen=True, slots=True)
class LabelJob:
    """See `FrameJob`.

    Attributes:
        store: See `FrameJob.store`.
        models: What was learned.
        batch: See `FrameJob.batch`.
    """

    store: FrameStore
    models: LabelingModels
    batch: int = 1

    @property
    def files(self) -> Mapping[str, Path]:
        """See `FrameJob.files`."""
        return self.models.files

    @property
    def gpus(self) -> int:
        """See `FrameJob.gpus`."""
        return int(self.models.segmenter.device == "cuda")

    def open(self, files: Mapping[str, Path]) -> _LabelHandler:
        """See `FrameJob.open`."""
        return _LabelHandler(self.models.open(files))

    def failed(self, item: LabelItem, reason: str) -> LabeledRow:
        """See `FrameJob.failed`."""
        return LabeledRow(FrameResult(file=item.name, problem=reason), "", b"")


@dataclass(frozen=True, slots=True)
class _LabelHandler:
    labeler: FrameLabeler

    def __call__(self, frames: Sequence[tuple[LabelItem, bytes]], /) -> list[LabeledRow]:
        return [self._label(item, data) for item, data in frames]

    def _label(self, item: LabelItem, data: bytes) -> LabeledRow:
        digest = hashlib.sha256(data).hexdigest()
        image = decode_image(data, item.name)
        if image is None:
            problem: str | None = "not an image that can be read (corrupt or cut off)"
            return LabeledRow(FrameResult(file=item.name, problem=problem), digest, b"")
        look = FrameLook.of(image).to_bytes()
        drawn = item.drawn
        if drawn is None and (problem := self.labeler.problem(image)) is not None:
            return LabeledRow(FrameResult(file=item.name, problem=problem), digest, look)
        if drawn is None:
            labels, unsure = self.labeler.label(image)
        else:
            labels, unsure = label_exemplar(image, drawn, self.labeler.segmenter), []
        height, width = image.shape[:2]
        result = FrameResult(
            file=item.name,
            width=width,
            height=height,
            labels=tuple(labels),
            unsure=tuple(unsure),
            by_person=drawn is not None,
        )
        return LabeledRow(result, digest, look)
