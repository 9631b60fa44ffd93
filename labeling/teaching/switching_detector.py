"""Detector of the loop that is exchanged between two frames."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.engines.placement import Placement, ThreadCount
from edgeloop.edge.runtime.frame_detector import FrameDetector
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError
from edgeloop.models.spec import ModelSpec

__all__ = ["NotReadyError", "SwitchingDetector", "open_spec"]

_WAKE_S = 0.1


class NotReadyError(Exception):
    """Frame that got no answer: there was no detector yet."""


class SwitchingDetector:
    """Detector that hands each frame to the one that answers now; see `FrameDetector`.

    A frame is answered by one detector as a whole: an exchange counts from the next frame on. The frame that
    waits for the first detector is answered if it is of footage, in which every frame counts; of a live
    source it is late then.

    Attributes:
        path: Folder of the loop, by which figures name the model.
        spec: Settings that all detectors share: names and minimum confidence.
        parallel: Number of images to detect at a time: one, so that a frame has one answer.
    """

    parallel = 1

    def __init__(self, path: Path, spec: ModelSpec, *, live: bool, wait_until: float = math.inf) -> None:
        """Start without a detector.

        Args:
            path: Folder of the loop.
            spec: Settings of all detectors.
            live: Leave the frame without an answer that waited for the first detector.
            wait_until: Monotonic clock in seconds from which on no frame waits for it.
        """
        self.path, self.spec, self._live, self._wait_until = path, spec, live, wait_until
        self._detector: FrameDetector | None = None
        self._ready = threading.Event()
        self._ended = False

    @property
    def names(self) -> Sequence[str]:
        """Class names by class number, the same of all detectors."""
        return self.spec.names

    @property
    def provider(self) -> str:
        """Execution provider of the detector that answers now."""
        return self.placement.provider

    @property
    def placement(self) -> Placement:
        """Placement of the detector that answers now."""
        return Placement("cpu") if self._detector is None else self._detector.placement

    @property
    def threads(self) -> ThreadCount:
        """Threads of the detector that answers now."""
        return ThreadCount(1) if self._detector is None else self._detector.threads

    @property
    def answering(self) -> FrameDetector | None:
        """Detector that answers now; None before the first."""
        return self._detector

    def switch(self, detector: FrameDetector) -> None:
        """Let another detector answer from the next frame on.

        Raises:
            DataError: It has other classes.
        """
        if tuple(detector.names) != tuple(self.names):
            raise DataError(
                f"{detector.path}: expected the classes {', '.join(self.names)}, "
                f"got {', '.join(detector.names)}"
            )
        self._detector = detector
        self._ready.set()

    @property
    def ended(self) -> bool:
        """True once the run was told to stop."""
        return self._ended

    def end(self) -> None:
        """Let no frame wait any longer for the first detector; a signal handler may call it."""
        self._ended = True

    def detect_timed(self, image: NDArray[np.uint8]) -> tuple[Detections, dict[str, float]]:
        """Detect as of `FrameDetector`.

        Raises:
            NotReadyError: There was no detector when the frame came, and the source is live or the run ended.
        """
        waited = not self._ready.is_set()
        while not self._ready.wait(_WAKE_S):
            if self._ended or time.monotonic() >= self._wait_until:
                raise NotReadyError
        detector = self._detector
        if detector is None or (waited and self._live):
            raise NotReadyError
        return detector.detect_timed(image)


def open_spec(names: Sequence[str], side: int, confidence: float) -> ModelSpec:
    """Make the settings of a detector that is no file of its own.

    Args:
        names: Class names.
        side: Long side of its input, px.
        confidence: Minimum score, exclusive.
    """
    return ModelSpec(
        head="classic", input_size=(side, side), layout="NCHW", dtype="float32", color="RGB", scale=255.0,
        centered=True, pad_value=114, names=tuple(names), stride=32, confidence=confidence, iou=0.7,
        max_detections=300,
    )  # fmt: skip
