"""The weights that ship with edgeloop: what they are, under which licence, checked before use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from models.errors import ModelError, UsageError

__all__ = ["WEIGHTS", "Weights", "weights_path"]

_FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights.

    Attributes:
        file: name of the file in models/weights.
        sha256: of its bytes, 64 hexadecimal digits.
        size: in bytes.
        licence: SPDX identifier.
        source: where the weights come from, for a reader.
    """

    file: str
    sha256: str
    size: int
    licence: str
    source: str


_NANO = "labeling/sam/recipe, from EfficientNet-Lite0's ImageNet weights (Apache-2.0); see docs/nano.md"

_LITE0 = "export/pretrain.py, with ultralytics, from EfficientNet-Lite0's ImageNet weights (Apache-2.0)"

WEIGHTS: Mapping[str, Weights] = MappingProxyType(
    {
        "edgeloop-lite0": Weights(
            file="edgeloop-lite0.safetensors",
            sha256="b17904eba1ddbaf03397752404585cf99bc2a2f9d8b9ffc2c4fe6b750ee21c25",
            size=6_262_462,
            licence="AGPL-3.0-only",
            source=_LITE0,
        ),
        "nano": Weights(
            file="nano.safetensors",
            sha256="d47022fbcf8df44d9ed8e6ac79c4e06570eed4e5826c522ee5710f9cbe7a2de3",
            size=8_016_704,
            licence="Apache-2.0",
            source=_NANO,
        ),
        "nano-encoder": Weights(
            file="nano_encoder.onnx",
            sha256="e5cce069c41ce5c0b9a15484cb806dee37be225f71a8efb9bdc69010b3bf9588",
            size=6_395_264,
            licence="Apache-2.0",
            source=_NANO,
        ),
        "nano-decoder": Weights(
            file="nano_decoder.onnx",
            sha256="6a8a9f3d0168bc0ca7732c179402c023608c821171767ff683a37b9056cc70e5",
            size=2_089_890,
            licence="Apache-2.0",
            source=_NANO,
        ),
    }
)


def weights_path(name: str) -> Path:
    """Find weights that ship with edgeloop.

    Args:
        name: a key of `WEIGHTS`.

    Returns:
        The file, whose content has just been checked.

    Raises:
        UsageError: there are no weights of this name.
        ModelError: the file is missing or is not the one that was shipped.
    """
    weights = WEIGHTS.get(name)
    if weights is None:
        raise UsageError(f"weights '{name}': unknown, expected one of {', '.join(sorted(WEIGHTS)) or 'none'}")
    path = _FOLDER / weights.file
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"{path}: cannot read the weights '{name}' ({error.strerror}); install edgeloop again"
        ) from error
    if found != weights.sha256:
        raise ModelError(
            f"{path}: expected sha256 {weights.sha256[:12]}..., got {found[:12]}... "
            f"({path.stat().st_size} of {weights.size} bytes); install edgeloop again"
        )
    return path
