"""Protocol of a trainer, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field

from edgeloop.export.data.yolo_dataset import Dataset
from edgeloop.export.train_options import TrainerName, TrainOptions

__all__ = ["WEIGHTS_FILES", "Epoch", "OnStep", "TrainStep", "Trained", "Trainer"]

#: File with the trained detector that each trainer writes into its folder.
WEIGHTS_FILES: dict[TrainerName, str] = {"edgeloop": "best.safetensors", "ultralytics": "best.pt"}


class Epoch(BaseModel):
    """One pass over the training images.

    Attributes:
        number: Number, from 1 on.
        seconds: Time since training began, s.
        loss: Mean of each part of the loss, by name.
        map50: Mean average precision at IoU 0.5 on the validation part; None if not validated.
        map50_95: The same, mean over IoU 0.5 to 0.95.
        mask_map50: As `map50`, by the IoU of masks; None also for a detector without.
        mask_map50_95: The same, mean over IoU 0.5 to 0.95.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    number: Annotated[int, Field(ge=1)]
    seconds: float
    loss: dict[str, float]
    map50: float | None = None
    map50_95: float | None = None
    mask_map50: float | None = None
    mask_map50_95: float | None = None


@dataclass(frozen=True)
class TrainStep:
    """State of a training after a step.

    Attributes:
        step: Number of the step, from 1 on.
        epoch: Number of the pass over the training images, from 1 on.
        progress: Share of the training that is over, 0 to 1.
        seconds: Time since training began, s.
        seconds_left: Estimated time to the end, s.
        loss: Each part of the loss, by name.
        map50: Mean average precision at IoU 0.5 of the last validation; None before the first.
    """

    step: int
    epoch: int
    progress: float
    seconds: float
    seconds_left: float
    loss: Mapping[str, float]
    map50: float | None


OnStep = Callable[[TrainStep], None]


@dataclass(frozen=True)
class Trained:
    """Result of a trainer.

    Attributes:
        start: Start weights that were used.
        epochs: One entry per epoch.
        map50: Mean average precision at IoU 0.5 of the weights that were kept, on the validation part; None
            without one.
        map50_95: The same, mean over IoU 0.5 to 0.95.
        images_per_second: Throughput without reading and validation.
        imgsz: Side of the training image, px.
        freeze: Number of leading layers that were not trained.
        versions: Versions of the packages that trained, by name.
        mask_map50: As `map50`, by the IoU of masks; None also for a detector without.
        mask_map50_95: The same, mean over IoU 0.5 to 0.95.
    """

    start: str
    epochs: tuple[Epoch, ...]
    map50: float | None
    map50_95: float | None
    images_per_second: float
    imgsz: int
    freeze: int
    versions: Mapping[str, str]
    mask_map50: float | None = None
    mask_map50_95: float | None = None


class Trainer(Protocol):
    """Callable that trains a detector."""

    def __call__(self, data: Dataset, folder: Path, options: TrainOptions, on_step: OnStep) -> Trained:
        """Train a detector.

        Args:
            data: Dataset; its training part shows an object.
            folder: Folder for the file of weights and for checkpoints; it may hold those of an interrupted
                training with the same options on the same data, which then continues.
            options: Options of the training.
            on_step: Called after every step.

        Returns:
            The result.
        """
        ...
