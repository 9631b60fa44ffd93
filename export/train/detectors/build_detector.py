"""Build a detector for a list of classes from a name or a file."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.nn.tasks import DetectionModel, load_checkpoint, torch_safe_load, yaml_model_load
from ultralytics.utils import ROOT

from edgeloop.export.train.detector_weights import load_start_weights, read_state
from edgeloop.export.train.detectors.lite0_backbone import imagenet_state, register_lite0
from edgeloop.export.train_options import DEFAULT_MODEL, Activation
from edgeloop.models.errors import ModelError, NoInputError, UsageError
from edgeloop.models.weights.registry import WEIGHTS, weights_path

__all__ = ["build_detector", "load_detector"]

# Notation of ultralytics' descriptions.
_ACTIVATION = {"silu": "torch.nn.SiLU()", "relu": "torch.nn.ReLU()"}

# Errors of torch and ultralytics for a file that is no checkpoint, is truncated, or holds foreign classes.
_UNREADABLE = (AttributeError, EOFError, KeyError, OSError, RuntimeError, TypeError, pickle.UnpicklingError)

_OWN = {path.stem: path for path in Path(__file__).parent.glob("*.yaml")}
_SHIPPED = [name for name in _OWN if name in WEIGHTS]


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
    register_lite0()
    checkpoint = load_detector(Path(model)) if model.endswith(".pt") else None
    path = _description(model) if checkpoint is None else None
    try:
        description = yaml_model_load(str(path)) if checkpoint is None else checkpoint.yaml
        if activation is not None:
            description = _with_activation(description, model, activation)
        detector = DetectionModel(description, nc=len(names), verbose=False)
    except UsageError:
        raise
    except Exception as error:  # ultralytics' parser raises whatever its modules raise
        raise ModelError(f"{model}: ultralytics cannot build it ({_first_line(error)})") from error
    if activation == "relu" and any(isinstance(module, nn.SiLU) for module in detector.modules()):
        raise UsageError(f"--activation relu: {model} has layers whose SiLU cannot be exchanged")
    detector.names = dict(enumerate(names))
    if weights is None and checkpoint is not None:
        _load_checkpoint(detector, checkpoint, model)
    else:
        _load_weights(detector, model, weights or (model if model in _SHIPPED else "none"))
    return detector


def load_detector(path: Path) -> DetectionModel:
    """Read a detector from an ultralytics checkpoint (.pt), float32, in evaluation mode.

    Raises:
        NoInputError: There is no such file.
        ModelError: The file cannot be read, or holds something else than a detector.
    """
    register_lite0()
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
    if model in _OWN:
        return _OWN[model]
    if model.endswith((".yaml", ".yml")):
        if not Path(model).is_file():
            raise NoInputError(f"{model}: no such file; expected a model description in ultralytics' yaml")
        return Path(model)
    # Ultralytics takes the size (n, s, m, l, x) from the file name and finds the family's file itself.
    if any((ROOT / "cfg" / "models").rglob(f"{model[:-1]}.yaml")):
        return Path(f"{model}.yaml")
    raise UsageError(
        f"--model {model}: unknown; expected {', '.join(_OWN)}, a detector of ultralytics such as yolo26n, "
        "or a path to a .pt or .yaml file"
    )


def _with_activation(description: dict[str, Any], model: str, activation: Activation) -> dict[str, Any]:
    if Path(description.get("yaml_file", "")).stem in _OWN:
        raise UsageError(f"--activation {activation}: {model} is made of ReLU and ReLU6, and stays so")
    return {**description, "activation": _ACTIVATION[activation]}


def _load_weights(detector: DetectionModel, model: str, weights: str) -> None:
    if weights == "none":
        return
    if weights == "imagenet":
        if model != DEFAULT_MODEL:
            raise UsageError(f"--weights imagenet: only {DEFAULT_MODEL} has a backbone with ImageNet weights")
        detector.model[0].m.load_state_dict(
            {key.removeprefix("features."): value for key, value in imagenet_state().items()}
        )
    elif weights.endswith(".pt"):
        _load_checkpoint(detector, load_detector(Path(weights)), weights)
    elif weights.endswith(".safetensors"):
        load_start_weights(detector, read_state(Path(weights)), weights)
    elif weights in _SHIPPED:
        load_start_weights(detector, read_state(weights_path(weights)), weights)
    else:
        raise UsageError(
            f"--weights {weights}: unknown; expected {', '.join(['none', 'imagenet', *_SHIPPED])} "
            "or a path to a .safetensors or .pt file"
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
