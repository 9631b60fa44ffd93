"""Figures of the model that is running, since it took over."""

from __future__ import annotations

import statistics
from collections import Counter, deque

from edgeloop.edge.service.board import ModelState
from edgeloop.edge.service.probation.shadow_model import ShadowModel
from edgeloop.edge.service.probation.verdict import Evidence
from edgeloop.edge.service.store.store_state import ProbationState

__all__ = ["Trial"]

_WINDOW = 300
_MIN_LATENCIES = 100
_MIN_COMPARED = 30


class Trial:
    """Counters of the running model, since it took over. Written by the loop, read by the watch."""

    def __init__(self, state: ModelState) -> None:
        """Start at zero, with the state of the model on the board."""
        self._state = state
        self._latencies_ms: deque[float] = deque(maxlen=_WINDOW)
        self._answered = 0
        self._restarts_before, self._errors_before = state.restarts, Counter(state.errors)

    def note(self, latency_ms: float) -> None:
        """Count a frame that the model answered in so many milliseconds."""
        self._answered += 1
        self._latencies_ms.append(latency_ms)

    def median_ms(self) -> float | None:
        """Median latency over the last frames; None if there are too few."""
        latencies = self._latencies_ms.copy()
        return round(statistics.median(latencies), 3) if len(latencies) >= _MIN_LATENCIES else None

    def evidence(self, probation: ProbationState, previous: ShadowModel | None) -> Evidence:
        """Sum up for the rules of probation, with the previous model in shadow if it is there.

        Latencies are compared on the frames that both saw, so that a machine that is busier than before slows
        both. Only if the previous model cannot run, its latency from before counts.
        """
        state = self._state
        failures = Counter(state.errors) - self._errors_before
        del failures["away"]  # while the model was started
        compared, boxes, reference_boxes = 0, 0, 0
        compared_ms, reference_ms = self.median_ms(), probation.reference_ms
        provider = probation.reference_provider
        if previous is not None and not previous.lost:
            compared, boxes, reference_boxes = previous.comparison.recent()
            figures = previous.comparison.figures()
            provider = provider or figures.candidate_provider
            compared_ms = None if compared < _MIN_COMPARED else figures.current_ms
            reference_ms = max(reference_ms or 0.0, figures.candidate_ms or 0.0)
        return Evidence(
            status=state.status,
            reason=state.reason,
            restarts=state.restarts - self._restarts_before,
            provider=state.provider,
            reference_provider=provider,
            answered=self._answered,
            failures=failures,
            latency_ms=self.median_ms(),
            compared_ms=compared_ms,
            reference_ms=reference_ms,
            compared=compared,
            boxes=boxes,
            reference_boxes=reference_boxes,
        )
