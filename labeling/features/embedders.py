"""Embedders by name: lite0, a DINO of timm, or a CLIP of open_clip."""

from __future__ import annotations

from pathlib import Path

from edgeloop.labeling.features.clip import load_clip
from edgeloop.labeling.features.dino import load_dino
from edgeloop.labeling.features.embedding import Embedder, Lite0
from edgeloop.models.errors import UnavailableError, UsageError
from edgeloop.models.weights.digest import file_sha256

__all__ = ["fingerprint", "load_embedder", "reads_text", "weights_file", "with_weights_file"]


def load_embedder(name: str, *, offline: bool = False) -> Embedder:
    """Load an embedder with its weights.

    Args:
        name: "lite0", which ships; or MODEL:WEIGHTS, a DINOv2 or DINOv3 of timm or a CLIP of open_clip, and
            the path of its weights. For a CLIP, WEIGHTS may be a tag of open_clip's, which is downloaded.
        offline: Never download.

    Raises:
        UsageError: There is no such model, or `name` is malformed.
        NoInputError: There are no such weights.
        ModelError: The file holds no weights of that model.
        UnavailableError: timm or open_clip is not installed, or a tag cannot be downloaded.
    """
    model_name, weights = _parts(name)
    if name == "lite0":
        return Lite0()
    try:
        if _is_dino(model_name):
            return load_dino(model_name, weights)
        return load_clip(model_name, weights, offline=offline)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"--classifier {name}: the package {error.name} is not installed; "
            "pip install 'edgeloop[label,clip]'"
        ) from error


def reads_text(name: str) -> bool:
    """True if an embedder, named as for `load_embedder`, embeds texts: a CLIP.

    Raises:
        UsageError: `name` is malformed.
    """
    model_name, _ = _parts(name)
    return name != "lite0" and not _is_dino(model_name)


def fingerprint(name: str) -> str:
    """Digest of the weights of an embedder, named as for `load_embedder`.

    It is "sha256:" and hexadecimal digits of a file; "" for lite0 and a tag, which identify their weights.

    Raises:
        UsageError: `name` is malformed.
    """
    path = weights_file(name)
    return "" if path is None else f"sha256:{file_sha256(path)}"


def weights_file(name: str) -> Path | None:
    """File of the weights of an embedder, named as for `load_embedder`; None for lite0 and a tag."""
    path = Path(_parts(name)[1])
    return path if path.is_file() else None


def with_weights_file(name: str, path: Path) -> str:
    """Name of the same embedder with a copy of its weights."""
    return f"{_parts(name)[0]}:{path}"


def _is_dino(model_name: str) -> bool:
    return "dino" in model_name.lower()


def _parts(name: str) -> tuple[str, str]:
    model_name, _, weights = name.partition(":")
    if name != "lite0" and not (model_name and weights):
        raise UsageError(
            f"--classifier {name}: expected lite0, or MODEL:WEIGHTS such as ViT-B-32:weights.pt or "
            "vit_small_patch14_dinov2:weights.safetensors"
        )
    return model_name, weights
