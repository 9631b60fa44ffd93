"""One input or output of a model, as its file states it."""

from __future__ import annotations

from dataclasses import dataclass

from edgeloop.models.facts.metadata_text import shorten

__all__ = ["TensorInfo"]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a model.

    Attributes:
        name: as the graph calls it.
        shape: sizes of the axes, None for one that is decided at run time.
        dtype: as numpy calls it.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def __str__(self) -> str:
        axes = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{shorten(self.name)} {self.dtype} ({axes})"
