"""Detector of the loop whose model runs in a child process, so that no fault of it reaches anything else."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.runtime.frame_detector import check_image
from edgeloop.edge.service.board import ModelState
from edgeloop.edge.service.service_config import ModelConfig
from edgeloop.edge.service.worker.restart_pacer import RestartPacer
from edgeloop.edge.service.worker.worker_messages import LoadedModel, LoadRequest
from edgeloop.edge.service.worker.worker_process import WorkerLostError, WorkerProcess, start_process
from edgeloop.models.detections import Detections
from edgeloop.models.errors import (
    AbsurdOutputError,
    DataError,
    EdgeloopError,
    ModelError,
    NonFiniteOutputError,
    UnavailableError,
)

if TYPE_CHECKING:
    from edgeloop.edge.engines.placement import Placement, ThreadCount
    from edgeloop.models.bundle.frame_statistics import FrameStatistics
    from edgeloop.models.spec import ModelSpec

__all__ = ["ModelWorker"]

log = logging.getLogger(__name__)

_LOAD_S = 600.0
"""Maximum time to load a model: TensorRT compiles for minutes."""

_RELOAD_S = 30.0
"""Maximum time to load it again, or five times that of the first time."""

_FIRST_S = 30.0
"""Maximum time of the first frame, in which accelerators choose their kernels."""

_LOOK_S = 0.5
"""Seconds between two looks at a child that no frame is asked of."""


class ModelWorker:
    """Detector in a child process, which is started again if it hangs or dies.

    While there is no child, frames fail at once, so that those after it are fresh. `names` only ever grows:
    class numbers keep their meaning when another model takes over.
    """

    parallel = 1

    def __init__(
        self, config: ModelConfig, file: Path, state: ModelState, pacer: RestartPacer | None = None
    ) -> None:
        """Prepare the worker.

        Args:
            config: Settings of the model; its `file` is not used.
            file: Model file.
            state: State of the model, which this worker writes.
            pacer: Pace of the restarts; None for the default.
        """
        self._config, self._file, self._state = config, file, state
        self._names: list[str] = []
        self._class_ids: NDArray[np.int64] | None = None
        self._loaded: LoadedModel | None = None
        self._placement_wanted: Placement | None = None
        self._notice = ""
        self._lock = threading.Lock()  # of the process that answers: held for each frame
        self._process: WorkerProcess | None = None
        self._children: set[WorkerProcess] = set()
        self._lost: deque[WorkerProcess] = deque()
        self._pacer = pacer or RestartPacer()
        self._up_at = self._retry_at = self._load_s = 0.0
        self._failing_since: float | None = None
        self._wake, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._supervise, name=f"model {state.name}", daemon=True)

    @property
    def path(self) -> Path:
        """Path of the model file."""
        return self._file

    @property
    def spec(self) -> ModelSpec:
        """Settings of the model; its own class numbers may differ from those of `names`."""
        return self._facts.spec

    @property
    def frames(self) -> FrameStatistics | None:
        """Statistics of the training frames of the model that answers; None if they are unknown."""
        return self._facts.frames

    @property
    def names(self) -> Sequence[str]:
        """Class names by class number; the same list for ever, to which a swap may append."""
        return self._names

    @property
    def provider(self) -> str:
        """Short name of the execution provider that runs the model."""
        return self.placement.provider

    @property
    def placement(self) -> Placement:
        """Execution provider, and the share of the model that runs on it."""
        return self._facts.placement

    @property
    def threads(self) -> ThreadCount:
        """CPU threads of one inference, with the reason."""
        return self._facts.threads

    @property
    def pid(self) -> int | None:
        """Process id of the child; None while there is none."""
        process = self._process
        return None if process is None else process.pid

    @property
    def _facts(self) -> LoadedModel:
        if self._loaded is None:
            raise RuntimeError("start the worker before its facts are asked for")
        return self._loaded

    def start(self) -> None:
        """Load the model, and wait until it has answered a blank frame.

        Raises:
            EdgeloopError: It cannot be loaded, or gives no answer.
        """
        process = self._load(self._file, self._config.threads)
        with self._lock:
            self._adopt(process, self._file)
        self._state.status = "ok"
        self._thread.start()

    def detect_timed(self, image: NDArray[np.uint8]) -> tuple[Detections, dict[str, float]]:
        """Find the objects in an image (HxWx3 uint8 BGR), and time the three steps in milliseconds.

        Raises:
            DataError: The image has the wrong shape or dtype.
            ModelError: The detector failed on it, or its output is no answer.
            UnavailableError: The child hung or died, or there is none at the moment.
        """
        check_image(image)
        with self._lock:
            process = self._process
            if process is None:
                self._state.count_error("away")
                raise UnavailableError(f"model {self._state.name}: {self._state.reason or 'is started'}")
            try:
                answer = process.detect(image, self._config.hang_s)
            except WorkerLostError as error:
                self._note_failure(process, error)
                raise UnavailableError(f"model {self._state.name}: {error}") from error
            except EdgeloopError as error:
                self._note_failure(process, error)
                raise
            self._note_answer()
            return self._renumber(answer.detections), answer.steps_ms

    def swap(self, file: Path, required_names: AbstractSet[str] = frozenset()) -> None:
        """Replace the model between two frames. On any failure the current one stays.

        Args:
            file: File of the new model. It has answered a frame before it takes over.
            required_names: Class names that it must have.

        Raises:
            DataError: It lacks a required class.
            EdgeloopError: It cannot be loaded, or gives no answer.
        """
        process = self._load(file, self._config.threads)
        missing = sorted(required_names - set(process.loaded.spec.names))
        if missing:
            self._discard(process)
            raise DataError(
                f"{file}: has no class {', '.join(missing)}, which zones or cameras use; "
                f"it has {', '.join(process.loaded.spec.names)}"
            )
        with self._lock:
            if self._closed.is_set():
                old: WorkerProcess | None = process
            else:
                old, self._pacer = self._process, RestartPacer()
                self._placement_wanted, self._notice = None, ""
                self._state.digest = ""  # another model on purpose, perhaps in a file of the same name
                self._adopt(process, file)
        if old is not None:
            self._discard(old)

    def close(self) -> None:
        """End the child."""
        self._closed.set()
        self._wake.set()
        for process in tuple(self._children):
            process.kill()
        with self._lock:  # by now the frame in hand has failed, too
            if self._process is not None:
                self._lost.append(self._process)
                self._process = None
        if self._thread.is_alive():
            self._thread.join(1.0)
        self._discard_lost()

    def _load(self, file: Path, threads: int | None, limit_s: float = _LOAD_S) -> WorkerProcess:
        config, began_at = self._config, time.monotonic()
        process = start_process()
        self._children.add(process)
        try:
            facts = config.stated_facts()
            request = LoadRequest(file, config.provider, config.allow_cpu, threads, config.confidence, facts)
            process.load(request, limit_s, max(_FIRST_S, config.hang_s))
        except BaseException:
            self._discard(process)
            raise
        self._load_s = time.monotonic() - began_at
        return process

    def _discard(self, process: WorkerProcess) -> None:
        process.close()
        self._children.discard(process)

    def _discard_lost(self) -> None:
        with suppress(IndexError):  # there is none left
            while True:
                self._discard(self._lost.popleft())

    def _adopt(self, process: WorkerProcess, file: Path) -> None:
        """Let a loaded process answer from now on."""
        loaded, state = process.loaded, self._state
        if file == self._file and state.digest not in ("", loaded.digest):
            self._log(logging.WARNING, "replaced", f"{file} is another file now, and was loaded")
        self._process, self._loaded, self._file = process, loaded, file
        self._class_ids = self._number_classes(loaded.spec.names)
        self._up_at, self._failing_since = time.monotonic(), None
        state.digest, state.file = loaded.digest, file.name
        state.provider, state.provider_share = loaded.placement.provider, loaded.placement.share
        self._compare_placement(loaded.placement)

    def _number_classes(self, names: Sequence[str]) -> NDArray[np.int64] | None:
        """Number the classes of a model by `names`, which gets those that it lacks; None if equal."""
        free: list[str | None] = [*self._names]
        numbers = []
        for name in names:
            if name in free:
                number = free.index(name)
                free[number] = None
            else:
                number = len(self._names)
                self._names.append(name)
            numbers.append(number)
        return None if numbers == list(range(len(numbers))) else np.array(numbers, np.int64)

    def _compare_placement(self, placement: Placement) -> None:
        """Say once that the model runs on another provider than at first, and once that it is back."""
        wanted = self._placement_wanted = self._placement_wanted or placement
        less = placement.share is not None and wanted.share is not None and placement.share < wanted.share
        changed = less or placement.provider != wanted.provider
        notice = f"ran on {wanted}, now on {placement}" if changed else ""
        if notice != self._notice:
            self._log(logging.WARNING, "provider", notice or f"runs on {placement} again")
        self._notice = notice

    def _renumber(self, found: Detections) -> Detections:
        if self._class_ids is None or not len(found):
            return found
        return replace(found, class_id=self._class_ids[found.class_id])

    def _note_answer(self) -> None:
        state = self._state
        state.answered_at, self._failing_since = time.monotonic(), None
        if state.status != "ok":
            self._log(logging.WARNING, "back", "answers again")
            state.status = "ok"
        state.reason = self._notice

    def _note_failure(self, process: WorkerProcess, error: EdgeloopError) -> None:
        self._state.count_error(_kind(error))
        self._state.reason = str(error)
        if isinstance(error, WorkerLostError):
            self._lose(process, str(error))
            return
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if isinstance(error, ModelError) and now - self._failing_since > self._config.hang_s:
            self._lose(process, f"no usable answer for {self._config.hang_s:g} s: {error}")

    def _lose(self, process: WorkerProcess, reason: str) -> None:
        """Give up a process. Called with the lock."""
        process.kill()
        self._lost.append(process)
        self._process = None
        self._plan_restart(reason, held_s=time.monotonic() - self._up_at)

    def _plan_restart(self, reason: str, held_s: float) -> None:
        """Decide when to start the model again, and say once that it is lost. Called with the lock."""
        now, state = time.monotonic(), self._state
        self._retry_at = now + self._pacer.pause_s(now, held_s)
        degraded = self._pacer.exceeded
        if not self._closed.is_set():
            if degraded and state.status != "degraded":
                text = f"{reason}; fails too often, so that it is tried again with growing pauses"
                self._log(logging.ERROR, "degraded", text)
            elif state.status == "ok":
                self._log(logging.WARNING, "lost", f"{reason}; it is started again")
        state.reason, state.status = reason, "degraded" if degraded else "restarting"
        self._wake.set()

    def _log(self, level: int, event: str, text: str) -> None:
        name = self._state.name
        log.log(level, "model %s: %s", name, text, extra={"event": f"model-{event}", "model": name})

    def _supervise(self) -> None:
        """Start the model again whenever its process is lost."""
        while not self._closed.is_set():
            until_retry_s = self._retry_at - time.monotonic() if self._process is None else _LOOK_S
            self._wake.wait(min(max(until_retry_s, 0.0), _LOOK_S))
            self._wake.clear()
            process = self._process
            if process is not None and not process.alive:  # without a frame that would have noticed
                with self._lock:
                    if self._process is process:
                        self._lose(process, "its process ended")
            self._discard_lost()
            if self._process is None and time.monotonic() >= self._retry_at and not self._closed.is_set():
                self._restart()

    def _restart(self) -> None:
        self._state.restarts += 1
        self._pacer.count(time.monotonic())
        file, facts = self._file, self._facts
        threads = facts.threads.count if facts.placement.provider in ("cpu", "openvino") else None
        try:
            process = self._load(file, self._config.threads or threads, max(_RELOAD_S, 5 * self._load_s))
        except Exception as error:  # whatever it is, it is tried again
            with self._lock:
                if self._process is None:
                    self._plan_restart(str(error), held_s=0.0)
            return
        with self._lock:
            taken = self._process is None and self._file == file and not self._closed.is_set()
            if taken:
                self._adopt(process, file)
        if not taken:  # a swap was faster
            self._discard(process)


def _kind(error: EdgeloopError) -> str:
    if isinstance(error, WorkerLostError):
        return error.kind
    if isinstance(error, NonFiniteOutputError):
        return "non-finite"
    return "absurd" if isinstance(error, AbsurdOutputError) else "failed"
