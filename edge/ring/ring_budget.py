"""Budget of a ring: bytes, days, and the share that is drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RingBudget"]


@dataclass(frozen=True, slots=True)
class RingBudget:
    """Budget of a ring of frames.

    Attributes:
        megabytes: Maximum size of its folder in MB (10^6 bytes), with the database.
        days: Frames are removed after this many days.
        random_share: Share of the bytes for frames drawn at random, 0 to 1. Higher values give narrower
            intervals of what `edgeloop mine` estimates, but leave less room for frames in doubt.
    """

    megabytes: float = 500.0
    days: float = 30.0
    random_share: float = 0.25

    @property
    def bytes(self) -> int:
        """Maximum size in bytes."""
        return int(self.megabytes * 1_000_000)
