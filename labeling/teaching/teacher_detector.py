"""Labeling engine as a detector of the loop, and the files by which a process hands it to another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.engines.placement import Placement, ThreadCount
from edgeloop.edge.host.durable_file import make_folder, replace_file
from edgeloop.edge.runtime.frame_detector import check_image
from edgeloop.labeling.engine.calibration import Calibration
from edgeloop.labeling.engine.engine import Engine, LearnedEngine
from edgeloop.labeling.teaching.published_teacher import TEACHER_FILE, PublishedTeacher, read_teacher
from edgeloop.labeling.teaching.switching_detector import open_spec
from edgeloop.models.detections import Detections
from edgeloop.models.spec import ModelSpec

__all__ = ["TeacherDetector", "publish_teacher"]


def publish_teacher(
    folder: Path, graph: Path, engine: Engine, *, side: int, names: Sequence[str], number: int
) -> PublishedTeacher:
    """Make an engine the published one: first its graph, then in one step the file that names it.

    The graph before it stays, for a process that is about to open it; older ones are removed.

    Args:
        folder: Folder to publish in.
        graph: Ensemble of the engine.
        engine: The engine.
        side: Long side of its input, px.
        names: Class names.
        number: Round of learning that it comes from.
    """
    make_folder(folder)
    before = read_teacher(folder)
    copy = folder / f"round-{number:04d}.onnx"
    copyfile(graph, copy.with_suffix(".part"))
    copy.with_suffix(".part").replace(copy)  # that of a round may be open, if the learning started again
    map50 = None if engine.promise is None else engine.promise.map50.value
    teacher = PublishedTeacher(
        graph=copy.name, side=side, shift=engine.calibration.shift, names=tuple(names), round=number,
        map50=map50,
    )  # fmt: skip
    replace_file(folder / TEACHER_FILE, teacher.model_dump_json().encode())
    for path in folder.glob("round-*.onnx"):
        if path.name not in (copy.name, "" if before is None else before.graph):
            with suppress(OSError):
                path.unlink()
    return teacher


@dataclass(frozen=True, slots=True)
class TeacherDetector:
    """Labeling engine as a detector of the loop; see `FrameDetector`.

    Attributes:
        path: File of its graph.
        engine: The engine; its scores are probabilities.
        spec: Names and minimum confidence.
        threads: CPU threads of one inference.
    """

    path: Path
    engine: Engine
    spec: ModelSpec
    threads: ThreadCount

    @classmethod
    def open(cls, folder: Path, teacher: PublishedTeacher, *, confidence: float, threads: int) -> Self:
        """Load a published teacher.

        Args:
            folder: Folder that it was published in.
            teacher: Its file.
            confidence: Minimum probability, exclusive.
            threads: CPU threads of one inference.
        """
        calibration = Calibration(teacher.shift)
        learned = LearnedEngine(folder / teacher.graph, teacher.side, calibration, 0.0, None)
        engine = learned.open("cpu", threads=threads)
        spec = open_spec(teacher.names, teacher.side, confidence)
        return cls(learned.graph, engine, spec, ThreadCount(threads))

    @property
    def names(self) -> Sequence[str]:
        """Class names by class number."""
        return self.spec.names

    @property
    def provider(self) -> str:
        """Execution provider, the CPU."""
        return "cpu"

    @property
    def placement(self) -> Placement:
        """Placement, all on the CPU."""
        return Placement("cpu")

    @property
    def parallel(self) -> int:
        """Number of images to detect at a time."""
        return 1

    def detect_timed(self, image: NDArray[np.uint8]) -> tuple[Detections, dict[str, float]]:
        """Detect as of `FrameDetector`; preparing the views counts as inference."""
        check_image(image)
        began = time.monotonic()
        found = self.engine.detect(image)
        inferred = time.monotonic()
        found = found[found.confidence > self.spec.confidence][: self.spec.max_detections]
        steps_ms = {
            "preprocess": 0.0,
            "infer": (inferred - began) * 1000,
            "postprocess": (time.monotonic() - inferred) * 1000,
        }
        return found, steps_ms
