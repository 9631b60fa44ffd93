"""Detection in the frames of a scene as a job for workers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeloop.edge.host.image_bytes import decode_image
from edgeloop.labeling.engine.engine import Engine, LearnedEngine
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.workers.frame_job import FrameFile
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError

ONE_MEMBER = "one-member"


@dataclass(frozen=True, slots=True)
class DetectJob:
    """Detection as a `FrameJob`; a row has what was found, and the seconds that it took.

    Attributes:
        store: See `FrameJob.store`.
        engine: What was learned.
        variant: `ONE_MEMBER`, or another name for all of them.
        batch: See `FrameJob.batch`.
    """

    store: FolderStore
    engine: LearnedEngine
    variant: str
    batch: int = 1

    @property
    def files(self) -> Mapping[str, Path]:
        """See `FrameJob.files`."""
        return {"ensemble.onnx": self.engine.graph}

    @property
    def gpus(self) -> int:
        """See `FrameJob.gpus`."""
        return 0

    @property
    def threads(self) -> bool:
        """See `FrameJob.threads`: times are of a detection that has its cores to itself."""
        return False

    def open(self, files: Mapping[str, Path]) -> DetectHandler:
        """See `FrameJob.open`."""
        return DetectHandler(self.engine.open("cpu", files["ensemble.onnx"]), self.variant)

    def failed(self, item: FrameFile, reason: str) -> tuple[Detections, float]:
        """See `FrameJob.failed`: a benchmark does without no frame."""
        raise DataError(f"{self.store.folder / item.file}: {reason}")


@dataclass(frozen=True, slots=True)
class DetectHandler:
    """See `FrameHandler`."""

    engine: Engine
    variant: str

    def __call__(self, frames: Sequence[tuple[FrameFile, bytes]], /) -> list[tuple[Detections, float]]:
        """See `FrameHandler.__call__`."""
        return [self._detect(item, data) for item, data in frames]

    def _detect(self, item: FrameFile, data: bytes) -> tuple[Detections, float]:
        image = decode_image(data, item.file)
        if image is None:
            raise DataError("not an image that can be read")
        start = time.monotonic()
        found = _find(self.engine, image, self.variant)
        return found, time.monotonic() - start


def _find(engine: Engine, image: np.ndarray, variant: str) -> Detections:
    if variant != ONE_MEMBER:
        return engine.detect(image)
    found = engine.ensemble.detect(image, 0)
    return Detections(found.xyxy, engine.calibration(found.confidence, member=True), found.class_id)
