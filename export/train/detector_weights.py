"""Detector weights as safetensors: plain arrays in half precision, nothing that runs when it is read."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from ultralytics.nn.modules import Conv
from ultralytics.nn.tasks import DetectionModel

from edgeloop.models.errors import ModelError, NoInputError

__all__ = ["load_start_weights", "read_state", "start_state", "write_state"]

# The class branches of ultralytics' head, also of its second half where it has two.
_CLASS_BRANCH = re.compile(r"\.(one2one_)?cv3\.")


def start_state(detector: DetectionModel) -> dict[str, Tensor]:
    """What a new training can use of a trained detector.

    Two things were found to matter. On the conveyor scene, four passes over 180 images led to mAP50-95 0.52
    from all weights as they are, 0.57 from loosened ones, 0.66 from loosened ones without the class branches,
    and 0.45 from the backbone alone. A branch that has learned "object" has forgotten what tells one class
    from another.

    Args:
        detector: A trained detector, left as it is.

    Returns:
        Tensors by name: all but the class branches, convolutions loosened (see `_loosen`).
    """
    detector = copy.deepcopy(detector).eval()
    # The first layer is the backbone, which is not going to move.
    for layer in detector.model[1:]:
        for module in layer.modules():
            if isinstance(module, Conv):
                _loosen(module)
    state = detector.state_dict()
    return {key: value for key, value in state.items() if not _CLASS_BRANCH.search(key)}


def load_start_weights(detector: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Fill a detector, whatever its number of classes, with weights to start from.

    Args:
        detector: A detector as ultralytics builds it, changed in place.
        state: Tensors by the detector's own names. Class branches are taken where all of them fit, and stay
            as they are where not.
        source: What the weights are called in an error.

    Raises:
        ModelError: The weights belong to another architecture.
    """
    own = detector.state_dict()
    wanted = [key for key, value in own.items() if value.is_floating_point()]
    branches = {key for key in wanted if _CLASS_BRANCH.search(key)}
    if any(key not in state or state[key].shape != own[key].shape for key in branches):
        wanted = [key for key in wanted if key not in branches]
    for key in wanted:
        if key not in state:
            raise ModelError(f"{source}: weights of another detector, {key} is not among them")
        if state[key].shape != own[key].shape:
            raise ModelError(
                f"{source}: weights of another detector, {key} is {tuple(state[key].shape)} in the file and "
                f"{tuple(own[key].shape)} in the model"
            )
        own[key] = state[key].clone()
    detector.load_state_dict(own)


def _loosen(module: Conv) -> None:
    """Scale a convolution back to the size of a fresh one; the batch norm behind it makes up for that.

    The function stays the same. But Adam's steps have a fixed size, and weights that have grown in a long
    training would hardly feel a few hundred of them.
    """
    weight, norm = module.conv.weight.data, module.bn
    fresh = (3 * weight[0].numel()) ** -0.5  # of torch's uniform start
    scale = fresh / weight.square().mean().sqrt()
    weight.mul_(scale)
    norm.running_mean.mul_(scale)
    norm.running_var.add_(norm.eps).mul_(scale**2).sub_(norm.eps).clamp_(min=0)


def write_state(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict in half precision; an existing file is replaced in one step.

    Args:
        state: Tensors by name; floating ones are stored as float16, others (batch counters) are left out.
        path: File to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = {key: value.half().contiguous() for key, value in state.items() if value.is_floating_point()}
    partial = path.with_suffix(".partial")
    save_file(halves, partial)
    partial.replace(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict.

    Args:
        path: A safetensors file.

    Returns:
        Tensors by name, float32.

    Raises:
        NoInputError: There is no such file.
        ModelError: The file is no safetensors file, or is cut short.
    """
    if not path.is_file():
        raise NoInputError(f"{path}: no such file; expected detector weights (.safetensors)")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error})") from error
    return {key: value.to(torch.float32) for key, value in state.items()}
