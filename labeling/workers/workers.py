"""Choice of workers."""

from __future__ import annotations

from dataclasses import dataclass

from edgeloop.models.errors import UsageError

__all__ = ["Workers"]


@dataclass(frozen=True, slots=True)
class Workers:
    """Who does the work.

    Attributes:
        count: Number of processes on this machine, or of actors on a cluster; 1 for this process alone; None
            for a thread of this process on each core, 16 at most, or for one actor on each core (with "cuda":
            each GPU) of the cluster.
        ray: Address of a Ray cluster; "auto" for the one that runs on this machine; None for no cluster.
    """

    count: int | None = None
    ray: str | None = None

    def __post_init__(self) -> None:
        """Refuse no workers.

        Raises:
            UsageError: `count` is less than 1.
        """
        if self.count is not None and self.count < 1:
            raise UsageError(f"--workers {self.count}: expected at least 1")
