"""Train a detector; ultralytics is imported when a training starts, after it was switched offline."""

from __future__ import annotations

from pathlib import Path

from edgeloop.export.train.offline import stay_offline
from edgeloop.export.train.run_record import RunRecord
from edgeloop.export.train_options import TrainOptions

__all__ = ["train_detector"]


def train_detector(dataset: str | Path, run: str | Path, options: TrainOptions | None = None) -> RunRecord:
    """Train a detector on a dataset.

    Args:
        dataset: Dataset folder in Ultralytics' layout.
        run: Folder to create; it gets `best.pt`, `run.json` and `curves.png`, all at once at the end.
        options: Options of the training.

    Returns:
        The record that is written to `run.json`.

    Raises:
        NoInputError: The dataset or a model file does not exist.
        DataError: The dataset cannot be trained on, or `run` exists.
        ModelError: A model file cannot be used.
        UsageError: The model, the weights or the activation is unknown.
    """
    stay_offline()
    # Imported here because it imports ultralytics, which goes online on import unless told otherwise.
    from edgeloop.export.train.train_run import train_run

    return train_run(Path(dataset), Path(run), options or TrainOptions())
