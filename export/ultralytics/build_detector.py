"""Build one of ultralytics' detectors from a name or a file."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from ultralytics.nn.tasks import DetectionModel, load_checkpoint, torch_safe_load, yaml_model_load
from ultralytics.utils import ROOT

from edgeloop.export.train_options import Activation
from edgeloop.models.errors import ModelError, NoInputError, UsageError

__all__ = ["build_detector", "load_detector"]

# Notation of ultralytics' descriptions.
_ACTIVATION = {"silu": "torch.nn.SiLU()", "relu": "torch.nn.ReLU()"}

# Errors of torch and ultralytics for a file that is no checkpoint, is truncated, or holds foreign classes.
_UNREADABLE = (AttributeError, EOFError, KeyError, OSError, RuntimeError, TypeError, pickle.UnpicklingError)


def build_detector(
    model: str,
    weights: str | None,
    names: Sequence[str],
    *,
    seed: int,
    activation: Activation | None = None,
) -> DetectionModel:
    """Build a float32 detector for a list of classes; `TrainOptions` describes the other arguments.

    Raises:
        NoInputError: A file does not exist.
        ModelError: A file cannot be read, or is no detector of this architecture.
        UsageError: The model or the weights are unknown, or its activation cannot be changed.
    """
    torch.manual_seed(seed)
    checkpoint = load_detector(Path(model)) if model.endswith(".pt") else None
    path = _description(model) if checkpoint is None else None
    try:
        description = yaml_model_load(str(path)) if checkpoint is None else checkpoint.yaml
        if activation is not None:
            description = {**description, "activation": _ACTIVATION[activation]}
        detector = DetectionModel(description, nc=len(names), verbose=False)
    except Exception as error:  # ultralytics' parser raises whatever its modules raise
        raise ModelError(f"{model}: ultralytics cannot build it ({_first_line(error)})") from error
    if activation == "relu" and any(isinstance(module, nn.SiLU) for module in detector.modules()):
        raise UsageError(f"--activation relu: {model} has layers whose SiLU cannot be exchanged")
    detector.names = dict(enumerate(names))
    if weights is not None and weights != "none":
        if not weights.endswith(".pt"):
            raise UsageError(f"--weights {weights}: expected none or a path to a .pt file for {model}")
        _load_checkpoint(detector, load_detector(Path(weights)), weights)
    elif weights is None and checkpoint is not None:
        _load_checkpoint(detector, checkpoint, model)
    return detector


def load_detector(path: Path) -> DetectionModel:
    """Read a detector from an ultralytics checkpoint (.pt), float32, in evaluation mode.

    Raises:
        NoInputError: There is no such file.
        ModelError: The file cannot be read, or holds something else than a detector.
    """
    if not path.is_file():
        raise NoInputError(f"{path}: no such file; expected a checkpoint (.pt) of a detector")
    try:
        # Refuse a file that would run code, also if the process imported ultralytics before our settings.
        torch_safe_load(str(path), safe_only=True)
        model, _ = load_checkpoint(str(path))
    except _UNREADABLE as error:
        raise ModelError(f"{path}: not a readable checkpoint ({_first_line(error)})") from error
    if type(model) is not DetectionModel:
        raise ModelError(f"{path}: expected a detector, got {type(model).__name__}")
    return model


def _description(model: str) -> Path:
    if model.endswith((".yaml", ".yml")):
        if not Path(model).is_file():
            raise NoInputError(f"{model}: no such file; expected a model description in ultralytics' yaml")
        return Path(model)
    # Ultralytics takes the size (n, s, m, l, x) from the file name and finds the family's file itself.
    if any((ROOT / "cfg" / "models").rglob(f"{model[:-1]}.yaml")):
        return Path(f"{model}.yaml")
    raise UsageError(
        f"--model {model}: unknown; expected a detector of ultralytics such as yolo26n, "
        "or a path to a .pt or .yaml file"
    )


def _load_checkpoint(detector: DetectionModel, source: DetectionModel, name: str) -> None:
    """Load a checkpoint's weights; class branches for another number of classes stay random."""
    shapes = {key: value.shape for key, value in source.state_dict().items()}
    own = detector.state_dict()
    if sum(shapes.get(key) == value.shape for key, value in own.items()) < len(own) / 2:
        raise ModelError(f"{name}: weights of another detector, less than half of them fit")
    detector.load(source, verbose=False)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
