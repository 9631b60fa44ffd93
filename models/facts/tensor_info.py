"""Description of a model's input or output."""

from __future__ import annotations

from dataclasses import dataclass

from edgeloop.models.facts.metadata_text import shorten

__all__ = ["TensorInfo"]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a model.

    Attributes:
        name: Name in the graph.
        shape: Sizes of the axes, None for a dynamic one.
        dtype: Name of the numpy dtype.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def takes_image_size(self) -> bool:
        """True for an input (1, 2) of the image's width and height, which RT-DETR's exporter adds."""
        return len(self.shape) == 2 and self.shape[1] == 2 and self.dtype in ("int64", "int32", "float32")

    def __str__(self) -> str:
        axes = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{shorten(self.name)} {self.dtype} ({axes})"
