"""Statistics of the frames that a detector was trained on, by which a device knows frames unlike them."""

from __future__ import annotations

import base64
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

__all__ = ["DESCRIPTION_LENGTH", "EDGE_SIZE", "FrameStatistics", "pack"]

DESCRIPTION_LENGTH = 132
"""Number of values that describe a frame."""

EDGE_SIZE = (64, 48)
"""Width and height of the map of edges, whatever the shape of the frame."""

MAX_AXES = 16
_EDGES_SHAPE = (2, EDGE_SIZE[1], EDGE_SIZE[0])

_Packed = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=40_000)]
_Gray = Annotated[float, Field(ge=0, le=255)]
_Positive = Annotated[float, Field(gt=0, le=1e6)]


def pack(values: NDArray[np.float16] | NDArray[np.int8]) -> str:
    """Write numbers as text: base64 of their little-endian bytes."""
    return base64.b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode()


class FrameStatistics(BaseModel):
    """Distribution of training frames, as `edgeloop.edge.drift` describes a frame.

    Attributes:
        descriptor: Version of the description of a frame.
        frames: Number of training frames that it was computed from.
        held_out: Number of held-out frames. The limit was computed from them, and from each part of the
            training frames by the others.
        mean: Means of the values that describe a frame; float16 (`DESCRIPTION_LENGTH`,), packed.
        scale: Divisors of what differs from the means; float16, likewise.
        axes: Principal axes of the scaled differences; float16 (number, `DESCRIPTION_LENGTH`), packed.
        variances: Variances along the axes.
        residual: Mean variance of a value that the axes leave over.
        usual: Median distance of the frames that the limit was computed from.
        limit: Distance from which a frame is unlike the training frames.
        brightness: Lowest and highest mean brightness of training frames, 0 to 255.
        contrast: Lowest standard deviation of the brightness within a training frame.
        detail: Lowest mean gradient of a training frame, gray levels per pixel of the small picture.
        edges: Mean direction of the brightness gradient in each place of a map of `EDGE_SIZE`, times 127;
            int8 (2, 48, 64), packed. None if the training frames do not share a view.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    descriptor: Literal[1] = 1
    frames: Annotated[int, Field(ge=1)]
    held_out: Annotated[int, Field(ge=1)]
    mean: _Packed
    scale: _Packed
    axes: _Packed
    variances: Annotated[tuple[_Positive, ...], Field(max_length=MAX_AXES)]
    residual: _Positive
    usual: _Positive
    limit: _Positive
    brightness: tuple[_Gray, _Gray]
    contrast: _Gray
    detail: _Gray
    edges: _Packed | None = None

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        arrays = {name: self.array(name) for name in ("mean", "scale", "axes")}
        for name, values in arrays.items():
            if not np.isfinite(values).all():
                raise ValueError(f"{name}: expected finite numbers")
        if not (arrays["scale"] > 0).all():
            raise ValueError("scale: expected positive numbers")
        if self.edges is not None:
            self.array("edges")
        return self

    def array(self, name: Literal["mean", "scale", "axes", "edges"]) -> NDArray[np.float32]:
        """Unpack one of the arrays, with the shape and factor that `FrameStatistics` states."""
        if name == "edges":
            return _unpack(name, self.edges or "", "i1", _EDGES_SHAPE) / np.float32(127)
        rows = (len(self.variances),) if name == "axes" else ()
        return _unpack(name, getattr(self, name), "<f2", (*rows, DESCRIPTION_LENGTH))


def _unpack(name: str, text: str, dtype: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    content = base64.b64decode(text, validate=True)
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if len(content) != expected:
        raise ValueError(f"{name}: {len(content)} bytes, expected {expected}")
    return np.frombuffer(content, dtype).reshape(shape).astype(np.float32)
