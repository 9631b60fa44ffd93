"""ONNX files as every engine takes them: whole, with the digest they were exported with, and their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.bundle.seal import check_seal
from edgeloop.models.errors import ModelError, NoInputError
from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["read_onnx", "with_image_size"]

_MAX_BYTES = 1 << 31


def read_onnx(path: Path) -> bytes:
    """Read a model and check its checksum, if it has one.

    Raises:
        NoInputError: The file does not exist or cannot be read.
        ModelError: It is no file, too large, or was changed after export.
    """
    if not path.exists():
        raise NoInputError(f"{path}: there is no such model file")
    if not path.is_file():
        raise ModelError(f"{path}: expected an ONNX file, got a folder or device")
    try:
        if path.stat().st_size >= _MAX_BYTES:
            raise ModelError(f"{path.stat().st_size} bytes, expected less than {_MAX_BYTES}")
        model = path.read_bytes()
        check_seal(model)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise NoInputError(f"{path}: cannot read the model file ({error.strerror})") from error
    return model


def with_image_size(
    tensors: Sequence[NDArray[np.generic]], inputs: Sequence[TensorInfo]
) -> Sequence[NDArray[np.generic]]:
    """Append the (width, height) of the first tensor if the model takes it and it was left out."""
    if len(tensors) < len(inputs) and inputs[-1].takes_image_size:
        return (*tensors, _size_of(tensors[0], inputs[-1].dtype))
    return tensors


def _size_of(image: NDArray[np.generic], dtype: str) -> NDArray[np.generic]:
    """Width and height of (1, 3, H, W) or (1, H, W, 3), as (1, 2)."""
    height, width = image.shape[1:3] if image.shape[3] == 3 and image.shape[1] != 3 else image.shape[2:]
    return np.array([[width, height]], dtype)
