"""Model in shadow: sees every k-th frame beside the current one, in a thread and a process of its own."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from edgeloop.edge.result import Result
from edgeloop.edge.service.board import ModelState
from edgeloop.edge.service.probation.comparison import CameraFilter, Comparison
from edgeloop.edge.service.service_config import CameraConfig, ModelConfig
from edgeloop.edge.service.store.shadow_figures import ShadowFigures
from edgeloop.edge.service.worker.model_worker import ModelWorker
from edgeloop.models.errors import EdgeloopError

__all__ = ["ShadowModel", "detection_ms"]

log = logging.getLogger(__name__)

_NICEST = 19
_STAGES = ("preprocess", "infer", "postprocess")


def detection_ms(result: Result) -> float:
    """Time in milliseconds that the model took for a result."""
    return sum(result.timings.stages_ms.get(stage, 0.0) for stage in _STAGES)


class ShadowModel:
    """Model that is compared with the current one.

    It waits for one frame at a time: what comes while it is busy is skipped. Its process has the lowest
    priority, so that the loop gets the processor first.

    Attributes:
        digest: SHA-256 of its file.
        comparison: Figures.
        lost: True if the model could not be loaded.
    """

    def __init__(
        self,
        config: ModelConfig,
        cameras: Mapping[str, CameraConfig],
        path: Path,
        current: ModelWorker,
        figures: ShadowFigures,
    ) -> None:
        """Prepare the shadow.

        Args:
            config: Settings of the model.
            cameras: Cameras of the model by name.
            path: Model file.
            current: Worker of the current model.
            figures: Earlier figures to go on from.
        """
        self.digest, self.comparison, self.lost = figures.candidate, Comparison(figures), False
        self._state = ModelState(f"{path.stem[:12]} in shadow")
        self._worker, self._current = ModelWorker(config, path, self._state), current
        self._cameras = cameras
        self._look: tuple[str, Result, Sequence[str]] | None = None
        self._ready, self._closed = threading.Event(), threading.Event()
        self._wake = threading.Event()
        self._pid: int | None = None
        self._thread = threading.Thread(target=self._run, name=f"shadow {path.stem[:12]}", daemon=True)

    def start(self) -> None:
        """Load the model, in the thread of the shadow."""
        self._thread.start()

    def offer(self, camera: str, result: Result) -> None:
        """Hand over a frame with the result of the current model, unless it is busy. Never waits."""
        if self._look is None and self._ready.is_set():
            self._look = camera, result, self._current.names
            self._wake.set()

    def close(self) -> None:
        """End its process and thread."""
        self._closed.set()
        self._wake.set()
        self._worker.close()
        self._thread.join(1.0)

    def _run(self) -> None:
        try:
            self._compare_all()
        finally:
            self._worker.close()

    def _compare_all(self) -> None:
        try:
            self._worker.start()
            filters = {
                name: CameraFilter(camera, self._worker.names) for name, camera in self._cameras.items()
            }
        except EdgeloopError as error:
            self.lost = True
            if not self._closed.is_set():
                log.warning("model %s: cannot be compared: %s", self._state.name, error)
                self.comparison.add_failure()
            return
        self._ready.set()
        while not self._closed.is_set():
            self._wake.wait()
            self._wake.clear()
            look = self._look
            if look is not None and not self._closed.is_set():
                try:
                    self._compare(*look, filters)
                except Exception:  # whatever it is, it belongs to this frame
                    self.comparison.add_failure()
                self._look = None

    def _compare(
        self, camera: str, result: Result, names: Sequence[str], filters: Mapping[str, CameraFilter]
    ) -> None:
        self._yield_processor()
        began_at = time.monotonic()
        found, _ = self._worker.detect_timed(result.frame.image)
        latency_ms = (time.monotonic() - began_at) * 1e3
        height, width = result.frame.image.shape[:2]
        found = filters[camera](found, (width, height))
        self.comparison.set_providers(self._current.provider, self._worker.provider)
        latencies_ms = detection_ms(result), latency_ms
        self.comparison.add(result.detections, names, found, self._worker.names, latencies_ms)

    def _yield_processor(self) -> None:
        """Give its process the lowest priority, and make it the first to end if the memory is used up."""
        pid = self._worker.pid
        if pid is None or pid == self._pid:
            return
        self._pid = pid
        with suppress(OSError):  # it has ended, or this system has no such folder
            Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.setpriority(os.PRIO_PROCESS, int(thread.name), _NICEST)
