"""Partial settings of a detector."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edgeloop.models.facts.metadata_text import MAX_CLASSES, checked_name
from edgeloop.models.heads import Head

__all__ = [
    "MAX_SIDE",
    "MIN_SIDE",
    "MOST_DETECTIONS",
    "Color",
    "Dtype",
    "Layout",
    "Names",
    "Share",
    "Size",
    "SpecOverrides",
]

MIN_SIDE, MAX_SIDE = 16, 8192
MOST_DETECTIONS = 10_000

Layout = Literal["NCHW", "NHWC"]
Dtype = Literal["float32", "float16", "uint8"]
Color = Literal["RGB", "BGR"]
Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)]
Size = tuple[Side, Side]
TileSide = Annotated[int, Field(ge=64, le=MAX_SIDE)]
Mean = Annotated[float, Field(ge=0, le=65536)]
Means = tuple[Mean, Mean, Mean]
Deviation = Annotated[float, Field(gt=0, le=65536)]
Deviations = tuple[Deviation, Deviation, Deviation]
Scale = Annotated[float, Field(gt=0, le=65536)]
Share = Annotated[float, Field(ge=0, le=1)]
PadValue = Annotated[int, Field(ge=0, le=255)]
Stride = Annotated[int, Field(ge=1, le=256)]
MaxDetections = Annotated[int, Field(ge=1, le=MOST_DETECTIONS)]
Name = Annotated[str, AfterValidator(checked_name)]
Names = Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_CLASSES)]
ClassScores = Annotated[dict[Name, Share], Field(max_length=MAX_CLASSES)]


def _checked_extent(value: float) -> float:
    if value == 1:
        raise ValueError("expected a share of the image below 1, or more than 1 pixel")
    return value


Extent = Annotated[float, Field(gt=0, le=65536), AfterValidator(_checked_extent)]
Overlap = Annotated[float, Field(ge=0, le=0.9)]


class SpecOverrides(BaseModel):
    """Settings of a detector, each None if unknown.

    They come from the command line, from metadata and from the shapes of tensors. `ModelSpec` documents each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    head: Head | None = None
    input_size: Size | None = None
    layout: Layout | None = None
    dtype: Dtype | None = None
    color: Color | None = None
    scale: Scale | None = None
    mean: Means | None = None
    std: Deviations | None = None
    centered: bool | None = None
    stretched: bool | None = None
    pad_value: PadValue | None = None
    names: Names | None = None
    stride: Stride | None = None
    confidence: Share | None = None
    iou: Share | None = None
    max_detections: MaxDetections | None = None
    classes: Names | None = None
    class_confidence: ClassScores | None = None
    min_size: Extent | None = None
    max_size: Extent | None = None
    tile: TileSide | None = None
    tile_overlap: Overlap | None = None

    def with_defaults(self, other: SpecOverrides) -> SpecOverrides:
        """Fill unknown settings from another object of lower priority."""
        return other.model_copy(update=self.model_dump(exclude_none=True))
