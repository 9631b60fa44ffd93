"""Placement of a loaded model: its engine, its execution provider and its CPU threads.

No part of onnxruntime: the service reads it, and leaves the model to another process.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Placement", "ThreadCount", "percent"]

_OPERATORS_SHOWN = 4


@dataclass(frozen=True)
class Placement:
    """Execution provider of a graph.

    Attributes:
        provider: Short name of the execution provider.
        share: Share of the nodes that run on it, 0 to 1, the others on the CPU; None if unknown
            (onnxruntime before 1.24).
        operators: Operators that run on the CPU instead.
        refused: Reason why a preferred provider was not used; "" if none was skipped.
        compared: Times of this engine and another one in words; "" if they were not compared.
        engine: Name of the engine; its providers are devices: "cpu", "vulkan", "npu", or "simulator".
    """

    provider: str
    share: float | None = 1.0
    operators: tuple[str, ...] = ()
    refused: str = ""
    compared: str = ""
    engine: str = "onnxruntime"

    def __str__(self) -> str:
        rest = f", the CPU the others ({_some(self.operators)})" if self.operators else ""
        share = "an unknown share" if self.share is None else percent(self.share)
        nodes = "" if self.provider == "cpu" else f", {share} of nodes{rest}"
        named = self.engine == "onnxruntime" or self.provider.startswith(self.engine)
        on = self.provider if named else f"{self.engine} on {self.provider}"
        compared = f", {self.compared}" if self.compared else ""
        return f"{on}{nodes}{compared}{f'; {self.refused}' if self.refused else ''}"

    @property
    def is_simulated(self) -> bool:
        """True if the chip is not here: the results are its own, the time is not."""
        return self.provider == "simulator"

    @property
    def shortfall(self) -> str:
        """Part of the model that the provider does not take, in words."""
        if self.share is None:
            return "does not take all of this model"
        return f"takes {percent(self.share)} of this model's nodes, not {_some(self.operators)}"


@dataclass(frozen=True)
class ThreadCount:
    """CPU threads of one inference.

    Attributes:
        count: Number of threads.
        reason: Measured times or origin of the number; "" if nothing was measured.
    """

    count: int
    reason: str = ""

    def __str__(self) -> str:
        threads = f"{self.count} CPU thread{'' if self.count == 1 else 's'}"
        return f"{threads}: {self.reason}" if self.reason else threads


def percent(share: float) -> str:
    """Format a share, rounded towards 0, so that 100 % means all."""
    return f"{int(share * 100)} %"


def _some(operators: tuple[str, ...]) -> str:
    more = len(operators) - _OPERATORS_SHOWN
    return ", ".join(operators[:_OPERATORS_SHOWN]) + (f" and {more} more" if more > 0 else "")
