"""Rules of probation: when a new model is given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeloop.edge.service.board import ModelStatus
from edgeloop.edge.service.service_config import ProbationConfig
from edgeloop.edge.service.store.shadow_figures import falls_back, latency_limit

__all__ = ["Evidence", "judge"]

MIN_FAILED = 5
MAX_FAILED_SHARE = 0.05
MIN_COMPARED_FRAMES = 10
MIN_REFERENCE_BOXES = 20
"""Boxes of the previous model without which rates are not compared: an empty scene proves nothing."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Figures of a model since it became the current one.

    Attributes:
        status: Status of its worker.
        reason: Last failure of the worker in one line.
        restarts: Number of restarts.
        provider: Its execution provider.
        reference_provider: Execution provider of the previous model; "" if unknown.
        answered: Number of frames with an answer.
        failures: Number of frames without one by kind.
        latency_ms: Median latency over the last frames; None if there are too few.
        compared_ms: Median latency over frames that are comparable; None if there are too few.
        reference_ms: Median latency of the previous model; None if unknown.
        compared: Number of the last frames that the previous model saw too.
        boxes: Number of its boxes in these frames.
        reference_boxes: Number of boxes of the previous model in these frames.
    """

    status: ModelStatus = "ok"
    reason: str = ""
    restarts: int = 0
    provider: str = ""
    reference_provider: str = ""
    answered: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    latency_ms: float | None = None
    compared_ms: float | None = None
    reference_ms: float | None = None
    compared: int = 0
    boxes: int = 0
    reference_boxes: int = 0

    @property
    def failed(self) -> int:
        """Number of frames without an answer."""
        return sum(self.failures.values())


def judge(evidence: Evidence, config: ProbationConfig) -> str | None:
    """Say in one line why a model is given up; None if it is not.

    Rates are compared on the same frames, so a scene that becomes empty is empty for both models.
    """
    # Before its first answer the status is that of the model before it.
    if evidence.restarts or (evidence.answered and evidence.status in ("restarting", "degraded")):
        return f"its process was lost: {evidence.reason or 'it was started again'}"
    if falls_back(evidence.provider, evidence.reference_provider):
        return f"runs on the {evidence.provider}, the previous model on {evidence.reference_provider}"
    asked = evidence.answered + evidence.failed
    if evidence.failed >= MIN_FAILED and evidence.failed > MAX_FAILED_SHARE * asked:
        kinds = ", ".join(f"{count} {kind}" for kind, count in evidence.failures.items())
        return f"gave no answer to {evidence.failed} of {asked} frames: {kinds}"
    limit = latency_limit(evidence.reference_ms, config)
    latency = evidence.compared_ms if config.latency_ms is None else evidence.latency_ms
    if limit is not None and latency is not None and latency > limit:
        return f"median latency {latency:.1f} ms, expected at most {limit:.1f} ms"
    if (
        evidence.compared >= MIN_COMPARED_FRAMES
        and evidence.reference_boxes >= MIN_REFERENCE_BOXES
        and evidence.boxes < config.min_rate * evidence.reference_boxes
    ):
        return (
            f"found {evidence.boxes} objects in {evidence.compared} frames, the previous model "
            f"{evidence.reference_boxes}; expected at least {config.min_rate:g} times as many"
        )
    return None
