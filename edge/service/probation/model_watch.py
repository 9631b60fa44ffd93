"""Watch over the store of one model in a running service: swaps, shadow, probation."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.edge.result import Result, Sink
from edgeloop.edge.service.board import ModelState
from edgeloop.edge.service.probation.shadow_model import ShadowModel, detection_ms
from edgeloop.edge.service.probation.trial import Trial
from edgeloop.edge.service.probation.verdict import Evidence, judge
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.store.class_check import required_classes
from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.edge.service.store.shadow_figures import ShadowFigures, read_figures
from edgeloop.edge.service.store.store_state import InstalledModel, ProbationState
from edgeloop.edge.service.store.stored_files import held_file
from edgeloop.edge.service.worker.model_worker import ModelWorker
from edgeloop.models.errors import DataError, EdgeloopError

__all__ = ["ModelWatch"]

log = logging.getLogger(__name__)

_LOOK_S = 0.2
"""Seconds between two looks at the store and the figures."""

_SAVE_S = 5.0
_ANSWERED_S = 10.0
"""Seconds after an answer in which probation goes on; time in which no frame comes proves nothing."""

_PAUSES_S = (1.0, 5.0, 10.0, 60.0)


class ModelWatch:
    """Watch that keeps a worker at what its store says, and gives up a model that fails on probation."""

    def __init__(self, config: ServiceConfig, state: ModelState, worker: ModelWorker) -> None:
        """Watch a model.

        Args:
            config: Configuration of the service.
            state: State of the model on the board.
            worker: Worker of the model; its file is in the store.
        """
        self._config, self._state, self._worker = config, state, worker
        self._name = state.name
        self._store = ModelStore(config.state, self._name)
        self._version = self._store.version
        self._stored = self._store.read()
        self._running = worker.path.stem
        self._held = ExitStack()
        self._hold(worker.path)
        self._shadow: ShadowModel | None = None
        self._given_up: dict[str, str] = {}
        self._said = ""
        self._swap_failures = 0
        self._swap_at = self._write_at = self._save_at = 0.0
        self._saved: ShadowFigures | None = None
        self._trial = Trial(state)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"store {self._name}", daemon=True)

    def sink(self, camera: str) -> Sink:
        """Make the sink of a camera of this model."""
        return _WatchSink(self, camera, self._config.probation.shadow_every)

    def start(self) -> None:
        """Start to watch."""
        self._looked_at = time.monotonic()
        self._thread.start()

    def close(self) -> None:
        """End, and save what is known of the probation."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        try:
            self._save()
        except EdgeloopError as error:
            log.warning("model %s: %s", self._name, error)
        self._end_shadow()
        self._held.close()

    def note(self, camera: str, result: Result, *, compared: bool) -> None:
        """Take a result of the current model. Called in the thread of the loop."""
        self._trial.note(detection_ms(result))
        shadow = self._shadow
        if compared and shadow is not None:
            shadow.offer(camera, result)

    @property
    def _probation(self) -> ProbationState | None:
        """Probation of the model that is running; None if it has none."""
        current = self._stored.current
        return self._stored.probation if current is not None and current.digest == self._running else None

    @property
    def _previous_digest(self) -> str:
        return "" if self._stored.previous is None else self._stored.previous.digest

    def _run(self) -> None:
        while not self._closed.wait(_LOOK_S):
            try:
                self._look()
            except EdgeloopError as error:
                self._say(str(error))
            except Exception as error:  # the watch goes on whatever happens
                self._say(f"{type(error).__name__}: {error}")

    def _say(self, problem: str) -> None:
        """Say a problem of the store once, until it is over."""
        if not self._said and not self._closed.is_set():
            log.warning("model %s: %s", self._name, problem)
        self._said = problem

    def _look(self) -> None:
        now = time.monotonic()
        passed_s, self._looked_at = now - self._looked_at, now
        version = self._store.version
        if version != self._version:
            self._stored, self._version = self._store.read(), version
        wanted = self._wanted(now)
        if wanted is not None and wanted.digest != self._running and now >= self._swap_at:
            self._swap(wanted, now)
        self._keep_shadow()
        if self._probation is not None and self._running not in self._given_up:
            self._continue_probation(self._probation, passed_s, now)
        if now >= self._save_at:
            self._save_at = now + _SAVE_S
            self._save()
        self._show()

    def _wanted(self, now: float) -> InstalledModel | None:
        """Model that the worker should have; a model that was given up is rolled back in the store."""
        current, previous = self._stored.current, self._stored.previous
        if current is None or previous is None or current.digest not in self._given_up:
            return current
        if now >= self._write_at:
            self._write_at = now + _SAVE_S
            try:
                self._stored = self._store.roll_back(self._given_up[current.digest], only=current.digest)
            except EdgeloopError as error:  # the previous model returns all the same
                self._say(str(error))
                return previous
            del self._given_up[current.digest]
            figures = self._state.figures
            self._state.figures = {**figures, "rollbacks": figures.get("rollbacks", 0) + 1}
            return self._stored.current
        return previous

    def _give_up(self, digest: str, reason: str) -> None:
        log.error(
            "model %s: %s is given up: %s; the previous model returns",
            self._name,
            digest[:12],
            reason,
            extra={"event": "model-given-up"},
        )
        self._given_up[digest] = reason
        self._write_at = 0.0

    def _swap(self, model: InstalledModel, now: float) -> None:
        """Let another model take over between two frames. The current one stays if it fails."""
        path = self._store.path(model)
        before, provider = self._running, self._state.provider
        self._swap_at = now + _PAUSES_S[min(self._swap_failures, len(_PAUSES_S) - 1)]
        self._swap_failures += 1
        with ExitStack() as held:
            try:
                held.enter_context(held_file(path))
                if not self._store.is_whole(model):
                    raise DataError(f"{path}: is damaged; install it again")
                needed = frozenset(required_classes(self._config, self._name))
                self._end_shadow()
                self._worker.swap(path, needed)
            except (EdgeloopError, OSError) as error:
                current = self._stored.current
                if current is not None and current.digest == model.digest and self._stored.previous:
                    self._give_up(model.digest, f"cannot take over: {error}")
                elif self._swap_failures == 1:
                    log.error("model %s: %s cannot take over: %s", self._name, model.digest[:12], error)
                return
            self._held.close()
            self._held = held.pop_all()
        self._running, self._swap_at, self._swap_failures = model.digest, 0.0, 0
        log.info(
            "model %s: %s (%s) took over",
            self._name,
            model.digest[:12],
            model.origin,
            extra={"event": "model-swapped"},
        )
        reference_ms, self._trial = self._trial.median_ms(), Trial(self._state)
        probation = self._probation
        if probation is not None and before == self._previous_digest:
            reference = {"reference_ms": reference_ms, "reference_provider": provider}
            self._stored = self._store.save_probation(model.digest, probation.model_copy(update=reference))
        self._store.clean()

    def _continue_probation(self, probation: ProbationState, passed_s: float, now: float) -> None:
        digest, config = self._running, self._config.probation
        answered_at = self._state.answered_at
        if answered_at is not None and now - answered_at < _ANSWERED_S:
            probation = probation.model_copy(update={"elapsed_s": probation.elapsed_s + passed_s})
            self._stored = self._stored.model_copy(update={"probation": probation})
        shadow = self._shadow
        evidence = self._trial.evidence(
            probation, shadow if shadow is not None and shadow.digest == self._previous_digest else None
        )
        reason = judge(evidence, config)
        if reason is not None:
            self._give_up(digest, reason)
        elif probation.elapsed_s >= config.minutes * 60 and now >= self._write_at:
            self._write_at = now + _SAVE_S
            summary = _summary(evidence)
            self._stored = self._store.confirm(digest, summary)
            log.info(
                "model %s: %s is confirmed: %s",
                self._name,
                digest[:12],
                summary,
                extra={"event": "model-confirmed"},
            )

    def _save(self) -> None:
        """Write down how far the probation is, and the figures of the candidate."""
        if self._probation is not None:
            self._stored = self._store.save_probation(self._running, self._probation)
        shadow, candidate = self._shadow, self._stored.candidate
        if shadow is not None and candidate is not None and shadow.digest == candidate.digest:
            figures = shadow.comparison.figures()
            if figures != self._saved:
                replace_file(self._store.figures_file, figures.model_dump_json(indent=1).encode())
                self._saved = figures
        if self._said and not self._given_up and not self._closed.is_set():
            log.info("model %s: the store works again", self._name)
            self._said = ""

    def _keep_shadow(self) -> None:
        """Have the right model in shadow: the previous one in probation, otherwise the candidate."""
        stored = self._stored
        model = stored.previous if self._probation is not None else stored.candidate
        if (
            stored.current is None
            or stored.current.digest != self._running
            or self._running in self._given_up
        ):
            model = None
        shadow = self._shadow
        if shadow is not None and (model is None or shadow.digest != model.digest):
            self._end_shadow()
        if model is not None and self._shadow is None:
            self._shadow = self._open_shadow(model)

    def _open_shadow(self, model: InstalledModel) -> ShadowModel:
        config = self._config
        figures = ShadowFigures(current=self._running, candidate=model.digest)
        if self._probation is None:
            with suppress(DataError):  # damaged: begun anew
                earlier = read_figures(self._store.figures_file)
                if earlier and (earlier.current, earlier.candidate) == (self._running, model.digest):
                    figures = earlier
        shadow = ShadowModel(
            config.models[self._name],
            {name: each for name, each in config.cameras.items() if config.model_of(name) == self._name},
            self._store.path(model),
            self._worker,
            figures,
        )
        shadow.start()
        return shadow

    def _end_shadow(self) -> None:
        shadow, self._shadow = self._shadow, None
        if shadow is not None:
            shadow.close()

    def _show(self) -> None:
        """Show the store on the board."""
        state, stored, probation = self._state, self._stored, self._probation
        state.previous = self._previous_digest
        state.candidate = "" if stored.candidate is None else stored.candidate.digest
        limit_s = self._config.probation.minutes * 60
        state.probation_left_s = None if probation is None else max(limit_s - probation.elapsed_s, 0.0)
        shown = {"rollbacks": state.figures.get("rollbacks", 0.0)}
        if self._shadow is not None:
            figures = self._shadow.comparison.figures()
            shown |= {"shadow_frames": figures.frames, "shadow_failed": figures.failed}
            if figures.agreement is not None:
                shown["shadow_agreement"] = figures.agreement
        state.figures = shown

    def _hold(self, path: Path) -> None:
        try:
            self._held.enter_context(held_file(path))
        except OSError as error:
            self._say(f"{path}: cannot be held ({error.strerror})")


class _WatchSink(Sink):
    def __init__(self, watch: ModelWatch, camera: str, every: int) -> None:
        self._watch, self._camera, self._every = watch, camera, every
        self._count = 0

    def write(self, result: Result) -> None:
        if not result.unchanged:
            self._count += 1
            self._watch.note(self._camera, result, compared=self._count % self._every == 0)

    def close(self) -> None:
        pass


def _summary(evidence: Evidence) -> str:
    latency = "unknown" if evidence.latency_ms is None else f"{evidence.latency_ms:.1f} ms"
    return (
        f"{evidence.answered} frames, {evidence.failed} without an answer, median latency {latency}, "
        f"{evidence.boxes} objects in the last {evidence.compared} frames that the previous model saw too, "
        f"in which it found {evidence.reference_boxes}"
    )
