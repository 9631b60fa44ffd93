"""What a training leaves behind beside its weights: RUN/run.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeloop.models.errors import DataError, NoInputError, first_validation_error

__all__ = ["Epoch", "RunRecord", "read_record", "write_record"]

_NAME = "run.json"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Epoch(_Data):
    """One pass over the training images.

    Attributes:
        number: From 1 on.
        seconds: Since training began.
        loss: Mean of each part of the loss, by ultralytics' name.
        map50: Mean average precision at IoU 0.5 on the validation part; None where it was not measured.
        map50_95: The same, mean over IoU 0.5 to 0.95.
    """

    number: int
    seconds: float
    loss: dict[str, float]
    map50: float | None = None
    map50_95: float | None = None


class RunRecord(_Data):
    """How a detector was trained.

    Attributes:
        model: Detector that was asked for.
        weights: What it started from.
        activation: That was asked for; None for what the model's description says.
        names: Class names.
        dataset: Folder it was trained on.
        dataset_sha256: Digest of that dataset.
        imgsz: Side of the training image, px.
        batch: Images per step.
        freeze: Leading layers that stayed as they were.
        seed: Of shuffling, augmentation and whatever started random.
        images: Training images.
        seconds: Wall time of the whole training, reading the images included.
        images_per_second: While training alone.
        epochs: One entry for each epoch.
        map50: Of the detector that was kept, on the validation part; None where that is empty.
        map50_95: The same, mean over IoU 0.5 to 0.95.
        versions: Of edgeloop, torch and ultralytics.
    """

    model: str
    weights: str
    activation: str | None = None
    names: tuple[str, ...]
    dataset: str
    dataset_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    imgsz: Annotated[int, Field(ge=32, le=8192)]
    batch: int
    freeze: int
    seed: int
    images: int
    seconds: float
    images_per_second: float
    epochs: tuple[Epoch, ...]
    map50: float | None
    map50_95: float | None
    versions: dict[str, str]


def write_record(record: RunRecord, run: Path) -> None:
    """Write a run's record.

    Args:
        record: What to write.
        run: The run's folder.
    """
    (run / _NAME).write_text(json.dumps(record.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


def read_record(run: Path) -> RunRecord:
    """Read a run's record.

    Args:
        run: The run's folder.

    Returns:
        The record.

    Raises:
        NoInputError: The folder has none.
        DataError: It is malformed.
    """
    path = run / _NAME
    if not path.is_file():
        raise NoInputError(f"{path}: no such file; expected a folder that `edgeloop train` made")
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"{path}, {first_validation_error(error, 'content')}") from error
