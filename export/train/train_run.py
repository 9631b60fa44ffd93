"""Train a detector on a labeled dataset and write its run folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ultralytics.nn.tasks import DetectionModel

from edgeloop.edge.cli.progress import progress_bar
from edgeloop.export.data.yolo_dataset import Dataset, open_dataset
from edgeloop.export.train.curves import draw_curves
from edgeloop.export.train.detectors import build_detector
from edgeloop.export.train.run_record import Epoch, RunRecord, write_record
from edgeloop.export.train_options import DEFAULT_MODEL, TrainOptions
from edgeloop.export.train.ultralytics_trainer import CpuTraining
from edgeloop.models.errors import DataError
from edgeloop.models.weights.registry import WEIGHTS

__all__ = ["train_run"]

# Chosen on the conveyor scene; docs/lab/2026-11-results.md has the effect of each, there and on a street.
_RECIPE = {
    "optimizer": "AdamW",
    "lr0": 2e-3,
    "lrf": 0.02,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "warmup_epochs": 1.0,
    "warmup_bias_lr": 0.0,
    "mosaic": 0.5,
    "close_mosaic": 3,
    "scale": 0.3,
    "translate": 0.1,
    "hsv_h": 0.01,
    "hsv_s": 0.4,
    "hsv_v": 0.3,
    "fliplr": 0.5,
}
_VALIDATIONS = 3
_CLOSING_S = 2.0  # reserved from a time limit for the checkpoint and the curves
_DEFAULT_EPOCHS = 30
_MANY_EPOCHS = 1000  # a time limit ends the training long before


def train_run(dataset: Path, run: Path, options: TrainOptions) -> RunRecord:
    """Do the work of `train_detector`, with the same arguments, result and errors."""
    began = time.monotonic()
    _check_run(run, overwrite=options.overwrite)
    data = open_dataset(dataset)
    _check_dataset(data)
    detector = build_detector(
        options.model, options.weights, data.names, seed=options.seed, activation=options.activation
    )
    run.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{run.name}-", dir=run.parent) as name:
        folder = Path(name)
        trainer = _trainer(data, detector, folder, options)
        log = _Log(trainer, options.time_limit_s, began)
        with log.shown():
            trainer.train()
        record = _record(options, data, trainer, log, seconds=time.monotonic() - began)
        finished = folder / "run"
        finished.mkdir()
        (folder / "best.pt").replace(finished / "best.pt")
        draw_curves(record, finished / "curves.png")
        write_record(record, finished)
        if run.exists():
            run.replace(folder / "earlier")
        finished.replace(run)
    return record


class _Log:
    """Callbacks of a training: progress bar, time limit, and figures for the record."""

    def __init__(self, trainer: CpuTraining, limit_s: float | None, began: float) -> None:
        self.losses: list[tuple[float, dict[str, float]]] = []
        self._trainer, self._limit, self._began = trainer, limit_s, began
        self._train_began = began
        self._images, self._image_seconds, self._epoch_began = 0, 0.0, began
        trainer.add_callback("on_pretrain_routine_end", self._start)
        trainer.add_callback("on_train_epoch_start", self._start_epoch)
        trainer.add_callback("on_train_batch_end", self._count)
        trainer.add_callback("on_train_epoch_end", self._end_epoch)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show progress in seconds of the time limit, or else in images of all epochs."""
        total = round(self._limit) if self._limit else self._trainer.epochs * self._trainer.images
        with progress_bar(total, "Training") as self._advance:
            self._done = 0
            yield
            self._advance(max(total - self._done, 0))

    def epochs(self) -> tuple[Epoch, ...]:
        epochs = []
        for number, (seconds, loss) in enumerate(self.losses, start=1):
            map50, map50_95 = self._trainer.validations.get(number, (None, None))
            epochs.append(Epoch(number=number, seconds=seconds, loss=loss, map50=map50, map50_95=map50_95))
        return tuple(epochs)

    def images_per_second(self) -> float:
        return round(self._images / max(self._image_seconds, 1e-6), 2)

    def _start(self, _trainer: Any) -> None:
        self._train_began = time.monotonic()
        self._fit_time_limit()

    def _start_epoch(self, _trainer: Any) -> None:
        self._epoch_began = time.monotonic()

    def _count(self, trainer: Any) -> None:
        self._images = min(self._images + trainer.batch_size, (trainer.epoch + 1) * trainer.images)
        done = int(time.monotonic() - self._began) if self._limit else self._images
        self._advance(done - self._done)
        self._done = done

    def _end_epoch(self, trainer: Any) -> None:
        now = time.monotonic()
        self._image_seconds += now - self._epoch_began
        loss = {key: round(float(value), 5) for key, value in trainer.tloss.items()}
        self.losses.append((round(now - self._train_began, 2), loss))
        share = (trainer.epoch + 1) / trainer.epochs
        due = share * _VALIDATIONS >= len(trainer.validations) + 1
        trainer.args.val = due or trainer.stop or trainer.args.patience > 0
        self._fit_time_limit()

    def _fit_time_limit(self) -> None:
        """Set ultralytics' time limit, to which it fits the epochs and the learning rate."""
        if self._limit is not None:
            before = self._train_began - self._began
            after = _CLOSING_S + self._trainer.validation_s
            self._trainer.args.time = max(self._limit - before - after, 1.0) / 3600


def _trainer(data: Dataset, detector: DetectionModel, folder: Path, options: TrainOptions) -> CpuTraining:
    freeze = options.freeze
    if freeze is None:
        freeze = int(options.model == DEFAULT_MODEL and options.weights != "none")
    epochs = options.epochs or (_MANY_EPOCHS if options.time_limit_s else _DEFAULT_EPOCHS)
    return CpuTraining(
        data, detector, folder, epochs=epochs, imgsz=options.imgsz, batch=options.batch, nbs=options.batch,
        seed=options.seed, freeze=freeze, patience=options.patience or 0,
        deterministic=options.time_limit_s is None, **_RECIPE,
    )  # fmt: skip


def _record(
    options: TrainOptions, data: Dataset, trainer: CpuTraining, log: _Log, seconds: float
) -> RunRecord:
    kept = max(trainer.validations.values(), key=lambda figures: figures[1])
    shipped = options.model if options.model in WEIGHTS else "none"
    return RunRecord(
        model=options.model,
        weights=options.weights or (options.model if options.model.endswith(".pt") else shipped),
        activation=options.activation,
        names=data.names,
        dataset=str(data.root),
        dataset_sha256=data.digest,
        imgsz=options.imgsz,
        batch=options.batch,
        freeze=trainer.args.freeze,
        seed=options.seed,
        images=len(data.train),
        seconds=round(seconds, 2),
        images_per_second=log.images_per_second(),
        epochs=log.epochs(),
        map50=kept[0],
        map50_95=kept[1],
        versions={package: version(package) for package in ("edgeloop", "torch", "ultralytics")},
    )


def _check_run(run: Path, *, overwrite: bool) -> None:
    if not run.exists() or (run.is_dir() and not any(run.iterdir())):
        return
    if not (run / "run.json").is_file():
        raise DataError(f"{run}: exists and is no earlier run; name another folder")
    if not overwrite:
        raise DataError(f"{run}: holds an earlier run; name another folder, or replace it with --overwrite")


def _check_dataset(data: Dataset) -> None:
    for split, images in (("train", data.train), ("val", data.val)):
        if not images:
            raise DataError(f"{data.root / 'data.yaml'}: no images under {split}; training needs both parts")
    if not any(len(image.class_id) for image in data.train):
        raise DataError(f"{data.root}: none of the {len(data.train)} training images shows an object")
