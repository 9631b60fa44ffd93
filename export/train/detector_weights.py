"""Detector weights as safetensors: plain arrays in half precision, without code that runs on loading."""

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

# Class branches of ultralytics' head, also of the second half of an end-to-end one.
_CLASS_BRANCH = re.compile(r"\.(one2one_)?cv3\.")


def start_state(detector: DetectionModel) -> dict[str, Tensor]:
    """Extract start weights for new trainings from a trained detector, which is not changed.

    On the conveyor scene, four passes over 180 images lead to mAP50-95 0.52 from the weights as they are,
    0.57 with convolutions rescaled, 0.66 without the class branches as well, 0.45 from the backbone alone.
    A branch trained on the single class "object" no longer separates classes.

    Returns:
        Tensors by name: all but the class branches, convolutions rescaled (see `_rescale`).
    """
    detector = copy.deepcopy(detector).eval()
    # The first layer is the backbone, which stays frozen.
    for layer in detector.model[1:]:
        for module in layer.modules():
            if isinstance(module, Conv):
                _rescale(module)
    state = detector.state_dict()
    return {key: value for key, value in state.items() if not _CLASS_BRANCH.search(key)}


def load_start_weights(detector: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load start weights into a detector, in place; class branches only if all of them fit its classes.

    Tensors have the detector's own names; `source` is the name of the weights in error messages.

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


def _rescale(module: Conv) -> None:
    """Rescale a convolution to the magnitude of a freshly initialized one; batch norm compensates.

    The layer computes the same function. But Adam's steps have a fixed size, so a few hundred of them would
    hardly change weights that grew in a long training.
    """
    weight, norm = module.conv.weight.data, module.bn
    fresh = (3 * weight[0].numel()) ** -0.5  # standard deviation of torch's default initialization
    scale = fresh / weight.square().mean().sqrt()
    weight.mul_(scale)
    norm.running_mean.mul_(scale)
    norm.running_var.add_(norm.eps).mul_(scale**2).sub_(norm.eps).clamp_(min=0)


def write_state(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict in half precision, without its integer tensors; the file is replaced atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = {key: value.half().contiguous() for key, value in state.items() if value.is_floating_point()}
    partial = path.with_suffix(".partial")
    save_file(halves, partial)
    partial.replace(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict as float32.

    Raises:
        NoInputError: There is no such file.
        ModelError: The file is no safetensors file, or is truncated.
    """
    if not path.is_file():
        raise NoInputError(f"{path}: no such file; expected detector weights (.safetensors)")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error})") from error
    return {key: value.to(torch.float32) for key, value in state.items()}
