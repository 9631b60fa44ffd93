"""Record of a training: RUN/run.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edgeloop.export.train_options import LARGEST_SIDE, TrainerName
from edgeloop.export.trainer import WEIGHTS_FILES, Epoch
from edgeloop.models.errors import NoInputError
from edgeloop.models.json_file import read_json
from edgeloop.models.task import Task

__all__ = ["RunRecord", "read_record", "write_record"]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

_NAME = "run.json"
_LICENSES: dict[TrainerName, str] = {
    "edgeloop": "Apache-2.0 (trainer and start weights of edgeloop)",
    "ultralytics": "AGPL-3.0 (https://ultralytics.com/license)",
}


class RunRecord(BaseModel):
    """Record of a training.

    Attributes:
        trainer: Trainer that made it.
        task: "segment" if it finds masks as well as boxes.
        model: Detector that was asked for.
        weights: Start weights.
        start_weights_sha256: Digest of the file of the start weights; None if they ship, are random, or are
            not known.
        weights_sha256: Digest of the file with the trained detector; None if it is not known.
        activation: Activation that was asked for; None for the model's own.
        names: Class names.
        dataset: Dataset folder.
        dataset_sha256: Digest of the dataset.
        imgsz: Side of the training image, px.
        batch: Images per step.
        freeze: Number of leading layers that were not trained.
        seed: Random seed.
        max_detections: Maximum number of detections per image.
        images: Number of training images.
        seconds: Wall time of the whole training, reading of images included, s.
        images_per_second: Throughput without reading and validation.
        epochs: One entry per epoch.
        map50: Mean average precision at IoU 0.5 of the detector that was kept, on the validation part;
            None without one.
        map50_95: The same, mean over IoU 0.5 to 0.95.
        mask_map50: As `map50`, by the IoU of masks; None also for a detector without.
        mask_map50_95: The same, mean over IoU 0.5 to 0.95.
        versions: Versions of edgeloop and of the packages that trained, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trainer: TrainerName = "ultralytics"  # of a record that does not say
    task: Task = "detect"
    model: str
    weights: str
    start_weights_sha256: Sha256 | None = None
    weights_sha256: Sha256 | None = None
    activation: str | None = None
    names: tuple[str, ...]
    dataset: str
    dataset_sha256: Sha256
    imgsz: Annotated[int, Field(ge=32, le=LARGEST_SIDE)]
    batch: int
    freeze: int
    seed: int
    max_detections: int = 300
    images: int
    seconds: float
    images_per_second: float
    epochs: tuple[Epoch, ...]
    map50: float | None
    map50_95: float | None
    mask_map50: float | None = None
    mask_map50_95: float | None = None
    versions: dict[str, str]

    @property
    def weights_file(self) -> str:
        """Name of the file with the trained detector in the run."""
        return WEIGHTS_FILES[self.trainer]

    @property
    def license(self) -> str:
        """License that comes with the trained detector."""
        return _LICENSES[self.trainer]


def write_record(record: RunRecord, run: Path) -> None:
    """Write the record of a run into its folder."""
    (run / _NAME).write_text(json.dumps(record.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


def read_record(run: Path) -> RunRecord:
    """Read the record of a run from its folder.

    Raises:
        NoInputError: The folder has none.
        DataError: It is malformed.
    """
    path = run / _NAME
    record = read_json(path, RunRecord, "restore it, or train again")
    if record is None:
        raise NoInputError(f"{path}: no such file; expected a folder that `edgeloop train` made")
    return record
