"""Weights of `nano` from a safetensors file; nothing is ever unpickled."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from edgeloop.labeling.sam.nano import build_nano
from edgeloop.labeling.sam.segmenter import SamSegmenter
from edgeloop.models.errors import ModelError, NoInputError

__all__ = ["load_nano"]


def load_nano(path: Path) -> SamSegmenter:
    """Build `nano` and load its weights.

    Args:
        path: A `.safetensors` file; fp16 values are widened to float32.

    Returns:
        The segmenter, in evaluation mode on the CPU.

    Raises:
        NoInputError: The file does not exist.
        ModelError: It is damaged, or its tensors are not those of `nano`.
    """
    if not path.is_file():
        raise NoInputError(f"{path}: no such weights file")
    try:
        weights = {name: tensor.float() for name, tensor in load_file(path).items()}
    except SafetensorError as error:
        raise ModelError(f"{path}: damaged safetensors file ({error}); get the file again") from error
    model = build_nano()
    expected = {name for name, value in model.state_dict().items() if value.is_floating_point()}
    if expected != weights.keys():
        wrong = sorted(expected ^ weights.keys())
        raise ModelError(
            f"{path}: not weights of nano ({len(wrong)} tensors differ, the first is {wrong[0]})"
        )
    try:
        model.load_state_dict(weights, strict=False)  # the integer counters of batch norm are not stored
    except RuntimeError as error:
        raise ModelError(f"{path}: not weights of this version of nano (tensor shapes differ)") from error
    return SamSegmenter(model.eval())
