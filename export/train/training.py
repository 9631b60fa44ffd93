"""Train a detector; torch and the trainer are imported when a training starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeloop.export.train_options import TrainOptions

if TYPE_CHECKING:
    from edgeloop.export.train.run_record import RunRecord
    from edgeloop.export.trainer import OnStep

__all__ = ["train_detector"]


def train_detector(
    dataset: str | Path, run: str | Path, options: TrainOptions | None = None, on_step: OnStep | None = None
) -> RunRecord:
    """Train a detector on a dataset.

    An interrupted training is kept in a hidden folder beside the run, `.RUN.unfinished`. The same call
    continues it, if its trainer can.

    Args:
        dataset: Dataset folder in Ultralytics' layout; its validation part may be empty.
        run: Folder to create; it gets the trained weights (`best.safetensors`, or ultralytics' `best.pt`),
            `run.json` and `curves.png`, all at once at the end.
        options: Options of the training.
        on_step: Called after every step.

    Returns:
        The record that is written to `run.json`.

    Raises:
        NoInputError: The dataset or a model file does not exist.
        DataError: The dataset cannot be trained on, `run` exists, or another training uses it.
        ModelError: A model file cannot be used.
        UsageError: The model, the weights or the activation is unknown.
        UnavailableError: The trainer or the device is missing.
    """
    # Imported here because it imports what `--help` does without.
    from edgeloop.export.train.train_run import train_run

    return train_run(Path(dataset), Path(run), options or TrainOptions(), on_step)
