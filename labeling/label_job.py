"""Labeling of frames as a job for workers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.image_bytes import decode_image
from edgeloop.labeling.build import LabelingModels
from edgeloop.labeling.frames.frame_look import FrameLook
from edgeloop.labeling.frames.frame_store import FrameStore
from edgeloop.labeling.inputs.exemplars import ExemplarFrame
from edgeloop.labeling.labeler import FrameLabeler, FrameLabels, label_exemplar
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
    """

    store: FrameStore
    models: LabelingModels

    @property
    def batch(self) -> int:
        """See `FrameJob.batch`."""
        return self.models.batch

    @property
    def files(self) -> Mapping[str, Path]:
        """See `FrameJob.files`."""
        return self.models.files

    @property
    def gpus(self) -> int:
        """See `FrameJob.gpus`."""
        return int(self.models.segmenter.device == "cuda")

    @property
    def threads(self) -> bool:
        """See `FrameJob.threads`."""
        return self.models.threads

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
        rows: list[LabeledRow] = []
        unlabeled: dict[int, NDArray[np.uint8]] = {}
        for item, data in frames:
            row, image = self._read(item, data)
            if image is not None:
                unlabeled[len(rows)] = image
            rows.append(row)
        labeled = self.labeler.label(list(unlabeled.values()))
        for (place, image), labels in zip(unlabeled.items(), labeled, strict=True):
            rows[place] = replace(rows[place], result=_result(frames[place][0], image, labels))
        return rows

    def _read(self, item: LabelItem, data: bytes) -> tuple[LabeledRow, NDArray[np.uint8] | None]:
        """Start the row of a frame; with its image if labels are all that is missing."""
        digest = hashlib.sha256(data).hexdigest()
        image = decode_image(data, item.name)
        if image is None:
            unread = "not an image that can be read (corrupt or cut off)"
            return LabeledRow(FrameResult(file=item.name, problem=unread), digest, b""), None
        look = FrameLook.of(image).to_bytes()
        if item.drawn is not None:
            labels = label_exemplar(image, item.drawn, self.labeler.segmenter)
            return LabeledRow(_result(item, image, (labels, [])), digest, look), None
        problem = self.labeler.problem(image)
        row = LabeledRow(FrameResult(file=item.name, problem=problem), digest, look)
        return row, image if problem is None else None


def _result(item: LabelItem, image: NDArray[np.uint8], labels: FrameLabels) -> FrameResult:
    height, width = image.shape[:2]
    sure, unsure = labels
    return FrameResult(
        file=item.name,
        width=width,
        height=height,
        labels=tuple(sure),
        unsure=tuple(unsure),
        by_person=item.drawn is not None,
    )
