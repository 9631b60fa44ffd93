"""Figures of a model in shadow beside the current one, and the rules by which it is promoted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeloop.edge.service.service_config import ProbationConfig
from edgeloop.models.errors import DataError, describe_damage

__all__ = [
    "MAX_CLASSES",
    "Rule",
    "ShadowFigures",
    "falls_back",
    "latency_limit",
    "promotion_rules",
    "read_figures",
]

MAX_CLASSES = 1000
LATENCY_RATIO, LATENCY_MORE_MS = 1.5, 5.0
"""Maximum median latency as a multiple of that of the previous model, or so many milliseconds more, by which
models of a millisecond vary anyway."""

MAX_FAILED = 0.01
"""Maximum share of frames without an answer."""

_MAX_BYTES = 1 << 20
_ON_CPU = ("cpu", "openvino", "xnnpack")
"""Execution providers that compute on the CPU; the time of a frame tells which is better."""

Count = Annotated[int, Field(ge=0)]
Millis = Annotated[float, Field(ge=0)]


class ShadowFigures(BaseModel):
    """Comparison of two models on the same frames.

    Attributes:
        version: Version of this format.
        current: Digest of the current model.
        candidate: Digest of the model in shadow.
        frames: Number of frames that both answered.
        failed: Number of frames that the model in shadow gave no answer to.
        current_boxes: Number of boxes of the current model.
        candidate_boxes: Number of boxes of the model in shadow.
        matched: Number of pairs of boxes, one of each, of the same class and an IoU of at least 0.5.
        classes: Number of boxes of the current model and of the one in shadow by name of the class.
        current_ms: Median latency of the current model, from preprocessing to boxes; None before the first.
        candidate_ms: Median latency of the model in shadow; None before the first.
        current_provider: Execution provider of the current model.
        candidate_provider: Execution provider of the model in shadow.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    version: Literal[1] = 1
    current: str
    candidate: str
    frames: Count = 0
    failed: Count = 0
    current_boxes: Count = 0
    candidate_boxes: Count = 0
    matched: Count = 0
    classes: Annotated[dict[str, tuple[Count, Count]], Field(max_length=MAX_CLASSES)] = {}
    current_ms: Millis | None = None
    candidate_ms: Millis | None = None
    current_provider: str = ""
    candidate_provider: str = ""

    @property
    def agreement(self) -> float | None:
        """Share of the boxes of both models that have a partner; None without boxes."""
        boxes = self.current_boxes + self.candidate_boxes
        return 2 * self.matched / boxes if boxes else None


def read_figures(path: Path) -> ShadowFigures | None:
    """Read figures; None if there are none.

    Raises:
        DataError: The file cannot be read, or has no such figures.
    """
    try:
        with path.open("rb") as file:
            return ShadowFigures.model_validate_json(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise DataError(
            f"{describe_damage(path, error)}; no figures of a shadow, remove it to compare anew"
        ) from error


@dataclass(frozen=True, slots=True)
class Rule:
    """Rule with what it expects and what it got.

    Attributes:
        name: Name of the rule.
        expected: Expectation in words.
        got: Value in words.
        holds: True if the value is as expected.
    """

    name: str
    expected: str
    got: str
    holds: bool

    def __str__(self) -> str:
        return f"{self.name}: expected {self.expected}, got {self.got}"


def promotion_rules(figures: ShadowFigures, config: ProbationConfig) -> Iterator[Rule]:
    """Judge a candidate.

    Args:
        figures: Its figures beside the current model.
        config: Limits.

    Yields:
        Each rule.
    """
    frames = figures.frames
    yield Rule("frames", f"at least {config.min_frames}", f"{frames}", frames >= config.min_frames)
    asked = frames + figures.failed
    yield Rule(
        "answers",
        f"at most {MAX_FAILED:.0%} of the frames without one",
        f"{figures.failed} of {asked}",
        figures.failed <= MAX_FAILED * asked,
    )
    agreement = figures.agreement
    yield Rule(
        "agreement",
        f"at least {config.min_agreement:g}",
        "no boxes to compare" if agreement is None else f"{agreement:.3f}",
        agreement is not None and agreement >= config.min_agreement,
    )
    least = config.min_rate * figures.current_boxes / max(frames, 1)
    rate = figures.candidate_boxes / max(frames, 1)
    yield Rule("detections", f"at least {least:.3g} per frame", f"{rate:.3g}", rate >= least)
    limit = latency_limit(figures.current_ms, config)
    latency = figures.candidate_ms
    yield Rule(
        "latency",
        "a limit" if limit is None else f"at most {limit:.1f} ms",
        "no frame" if latency is None else f"{latency:.1f} ms",
        limit is not None and latency is not None and latency <= limit,
    )
    yield Rule(
        "provider",
        figures.current_provider or "any",
        figures.candidate_provider or "none",
        not falls_back(figures.candidate_provider, figures.current_provider),
    )


def latency_limit(reference_ms: float | None, config: ProbationConfig) -> float | None:
    """Maximum median latency beside a reference; None if there is neither a limit nor a reference."""
    if config.latency_ms is not None:
        return config.latency_ms
    if reference_ms is None:
        return None
    return max(LATENCY_RATIO * reference_ms, reference_ms + LATENCY_MORE_MS)


def falls_back(provider: str, reference: str) -> bool:
    """True if a model runs on the CPU, and the one that it is compared with on something better.

    OpenVINO on the CPU is not: `auto` takes it or onnxruntime, whichever is faster for the model.
    """
    return provider in _ON_CPU and reference not in (*_ON_CPU, "")
