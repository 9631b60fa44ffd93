"""Weights as safetensors: plain arrays in half precision, without code that runs on loading."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from edgeloop.export.network.compact_detector import CompactDetector
from edgeloop.export.network.mask_branch import prototype_count
from edgeloop.export.train_options import DEFAULT_MODEL
from edgeloop.models.errors import ModelError, NoInputError, UnavailableError

__all__ = ["load_state", "read_detector", "read_named_state", "read_state", "write_detector", "write_state"]


def write_detector(detector: CompactDetector, names: Sequence[str], path: Path) -> None:
    """Write a trained detector and the names of its classes; the file is replaced atomically."""
    metadata = {"model": DEFAULT_MODEL, "classes": json.dumps(list(names))}
    write_state(detector.state_dict(), path, metadata)


def read_detector(path: Path) -> tuple[CompactDetector, tuple[str, ...]]:
    """Read a trained detector, float32, in evaluation mode, and the names of its classes.

    It has a mask branch if the file has one.

    Raises:
        NoInputError: There is no such file.
        ModelError: The file cannot be read, or is no trained detector.
    """
    state, metadata = _read(path)
    names = _names(metadata)
    if metadata.get("model") != DEFAULT_MODEL or not names:
        raise ModelError(f"{path}: expected a trained {DEFAULT_MODEL} with the names of its classes")
    detector = CompactDetector(len(names), prototype_count(state))
    load_state(detector, state, str(path))
    return detector.eval(), names


def load_state(
    detector: CompactDetector, state: Mapping[str, Tensor], source: str, *, without: Collection[str] = ()
) -> None:
    """Load the floating-point tensors of a state dict into a detector, in place.

    Tensors that the detector does not have, such as those of a mask branch, are left out.

    Args:
        detector: The detector.
        state: Tensors by name.
        source: Name of the state dict in error messages.
        without: Names of tensors to leave as they are.

    Raises:
        ModelError: A tensor is missing or has another shape.
    """
    own = detector.state_dict()
    for key, value in own.items():
        if key in without or not value.is_floating_point():
            continue
        if key not in state:
            raise ModelError(f"{source}: weights of another detector, {key} is not among them")
        if state[key].shape != value.shape:
            raise ModelError(
                f"{source}: weights of another detector, {key} is {tuple(state[key].shape)} in the file and "
                f"{tuple(value.shape)} in the model"
            )
        own[key] = state[key]
    detector.load_state_dict(own)


def write_state(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a state dict in half precision, without its integer tensors; the file is replaced atomically.

    Raises:
        UnavailableError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = {
        key: value.detach().to("cpu", torch.half).contiguous()
        for key, value in state.items()
        if value.is_floating_point()
    }
    partial = path.with_suffix(".partial")
    try:
        save_file(halves, partial, dict(metadata or {}))
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise UnavailableError(f"{path}: cannot be written; is the disk full?") from error
    finally:
        partial.unlink(missing_ok=True)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict as float32.

    Raises:
        NoInputError: There is no such file.
        ModelError: The file is no safetensors file, or is truncated.
    """
    return _read(path)[0]


def read_named_state(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Read a state dict as of `read_state`, and the names of its classes; none if it has no class layers."""
    state, metadata = _read(path)
    return state, _names(metadata)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise NoInputError(f"{path}: no such file; expected detector weights (.safetensors)")
    try:
        with safe_open(path, "pt") as file:
            state = {key: file.get_tensor(key).to(torch.float32) for key in file.keys()}  # noqa: SIM118 (no mapping)
            return state, file.metadata() or {}
    except SafetensorError as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error})") from error


def _names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    try:
        names = json.loads(metadata.get("classes", "[]"))
    except ValueError:
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()
