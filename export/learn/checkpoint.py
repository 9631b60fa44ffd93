"""Checkpoint of a training, from which it resumes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeloop.export.trainer import Epoch
from edgeloop.models.errors import UnavailableError

__all__ = ["Progress", "load_checkpoint", "save_checkpoint", "save_epochs"]

_NAME = "checkpoint.pt"
_EPOCHS = "epochs.json"


@dataclass
class Progress:
    """Course of a training so far.

    Attributes:
        step: Number of steps done.
        seconds: Time spent on them, s.
        step_seconds: The same without validation, s.
        epochs: Epochs that are complete.
        loss: Sum of each part of the loss since the last complete epoch, by name.
        best: Averaged weights with the best mAP50-95, of boxes and masks in the mean; empty before the first
            validation.
        best_scores: Its scores, by the names that they have in `Epoch`; empty before the first validation.
        best_epoch: Number of its epoch.
    """

    step: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    epochs: list[Epoch] = field(default_factory=list)
    loss: dict[str, float] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_scores: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0


def save_checkpoint(folder: Path, progress: Progress, states: Mapping[str, Any]) -> None:
    """Write a checkpoint; an earlier one is replaced at once.

    Raises:
        UnavailableError: It cannot be written; the earlier one stays.
    """
    content = vars(progress) | {"epochs": [epoch.model_dump() for epoch in progress.epochs]}
    partial = folder / f"{_NAME}.partial"
    try:
        torch.save({"progress": content, **states}, partial)
        partial.replace(folder / _NAME)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise UnavailableError(f"{folder / _NAME}: cannot be written; is the disk full?") from error
    finally:
        partial.unlink(missing_ok=True)


def save_epochs(folder: Path, progress: Progress) -> None:
    """Write the epochs so far for programs that draw the curves while they grow.

    Raises:
        UnavailableError: They cannot be written.
    """
    partial = folder / f"{_EPOCHS}.partial"
    try:
        partial.write_text(json.dumps([epoch.model_dump() for epoch in progress.epochs]), encoding="utf-8")
        partial.replace(folder / _EPOCHS)
    except OSError as error:
        raise UnavailableError(f"{folder / _EPOCHS}: cannot be written; is the disk full?") from error


def load_checkpoint(folder: Path) -> tuple[Progress, dict[str, Any]] | None:
    """Read the checkpoint of an interrupted training; None if there is none."""
    path = folder / _NAME
    if not path.is_file():
        return None
    states = torch.load(path, map_location="cpu", weights_only=True)
    content = states.pop("progress")
    content["epochs"] = [Epoch.model_validate(epoch) for epoch in content["epochs"]]
    return Progress(**content), states
