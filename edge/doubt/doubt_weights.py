"""Weights of the signs of doubt, RING/weights.json: learned at the desk, read on the device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeloop.edge.doubt.frame_doubt import DEFAULT_WEIGHTS
from edgeloop.edge.doubt.judged_frame import Sign
from edgeloop.edge.host.durable_file import replace_file
from edgeloop.models.errors import DataError, NoInputError, describe_damage

__all__ = ["WEIGHTS_FILE", "read_weights", "write_weights"]

WEIGHTS_FILE = "weights.json"
"""Name of the file in the folder of a ring."""

_MAX_BYTES = 1 << 16


class _Weights(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    version: Literal[1] = 1
    weights: dict[Sign, Annotated[float, Field(ge=0, le=1)]]


def read_weights(folder: Path) -> Mapping[Sign, float]:
    """Read the weights of a ring.

    Args:
        folder: Folder of the ring.

    Returns:
        A weight in [0, 1] for every sign; those that the file does not name, or all without a file, are the
        default ones.

    Raises:
        DataError: The file is damaged.
        NoInputError: It cannot be read.
    """
    path = folder / WEIGHTS_FILE
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return DEFAULT_WEIGHTS
    except OSError as error:
        raise NoInputError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        if len(text) > _MAX_BYTES:
            raise DataError(f"{path}: larger than {_MAX_BYTES} bytes, no weights; remove it")
        read = _Weights.model_validate_json(text)
    except ValidationError as error:
        raise DataError(
            f"{describe_damage(path, error)}; "
            "expected a weight from 0 to 1 for each sign; remove the file to use the default weights"
        ) from error
    return MappingProxyType({**DEFAULT_WEIGHTS, **read.weights})


def write_weights(folder: Path, weights: Mapping[Sign, float]) -> None:
    """Write the weights of a ring, in one step.

    Args:
        folder: Folder of the ring.
        weights: A weight in [0, 1] for each sign that is known better than by default.

    Raises:
        DataError: A weight is outside [0, 1].
        UnavailableError: The file cannot be written.
    """
    path = folder / WEIGHTS_FILE
    try:
        content = _Weights(weights=dict(weights))
    except ValidationError as error:
        raise DataError(f"{describe_damage(path, error)}; weights are from 0 to 1") from error
    replace_file(path, content.model_dump_json(indent=2).encode() + b"\n")
