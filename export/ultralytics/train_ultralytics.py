"""Trainer that trains ultralytics' detectors."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgeloop.export.data.yolo_dataset import Dataset
from edgeloop.export.network.device import choose_device
from edgeloop.export.train_options import TrainOptions
from edgeloop.export.trainer import Epoch, OnStep, Trained, TrainStep
from edgeloop.export.ultralytics.build_detector import build_detector
from edgeloop.export.ultralytics.cpu_training import CpuTraining
from edgeloop.models.errors import DataError

__all__ = ["train_ultralytics"]

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
_DEFAULT_IMGSZ = 320
_MANY_EPOCHS = 1000  # a time limit ends the training long before


def train_ultralytics(data: Dataset, folder: Path, options: TrainOptions, on_step: OnStep) -> Trained:
    """Train a detector of ultralytics; `Trainer` describes arguments and result.

    Raises:
        NoInputError: A model file does not exist.
        DataError: The dataset has no validation part, or an image cannot be read.
        ModelError: A model file cannot be used.
        UsageError: The model, the weights or the activation is unknown.
        UnavailableError: There is no such device.
    """
    began = time.monotonic()
    if not data.val:
        raise DataError(
            f"{data.root / 'data.yaml'}: no images under val; ultralytics needs a validation part"
        )
    device = choose_device(options.device)
    detector = build_detector(
        options.model_name, options.weights, data.names, seed=options.seed, activation=options.activation
    )
    imgsz = options.imgsz or _DEFAULT_IMGSZ
    epochs = options.epochs or (_MANY_EPOCHS if options.time_limit_s else _DEFAULT_EPOCHS)
    training = CpuTraining(
        data, detector, folder, device=device, epochs=epochs, imgsz=imgsz, batch=options.batch,
        nbs=options.batch, seed=options.seed, freeze=options.freeze or 0, patience=options.patience or 0,
        max_det=options.max_detections, deterministic=options.time_limit_s is None, **_RECIPE,
    )  # fmt: skip
    log = _Log(training, options.time_limit_s, began, on_step)
    training.train()
    map50, map50_95 = max(training.validations.values(), key=lambda figures: figures[1])
    from_checkpoint = options.model_name if options.model_name.endswith(".pt") else "none"
    return Trained(
        start=options.weights or from_checkpoint,
        epochs=log.epochs(),
        map50=map50,
        map50_95=map50_95,
        images_per_second=log.images_per_second(),
        imgsz=imgsz,
        freeze=options.freeze or 0,
        versions={package: version(package) for package in ("torch", "ultralytics")},
    )


class _Log:
    """Callbacks of a training: steps, time limit, and figures for the record."""

    def __init__(self, training: CpuTraining, limit_s: float | None, began: float, on_step: OnStep) -> None:
        self._training, self._limit, self._began, self._on_step = training, limit_s, began, on_step
        self._losses: list[tuple[float, dict[str, float]]] = []
        self._train_began = self._epoch_began = began
        self._steps, self._images, self._image_seconds = 0, 0, 0.0
        training.add_callback("on_pretrain_routine_end", self._start)
        training.add_callback("on_train_epoch_start", self._start_epoch)
        training.add_callback("on_train_batch_end", self._end_step)
        training.add_callback("on_train_epoch_end", self._end_epoch)

    def epochs(self) -> tuple[Epoch, ...]:
        epochs = []
        for number, (seconds, loss) in enumerate(self._losses, start=1):
            map50, map50_95 = self._training.validations.get(number, (None, None))
            epochs.append(Epoch(number=number, seconds=seconds, loss=loss, map50=map50, map50_95=map50_95))
        return tuple(epochs)

    def images_per_second(self) -> float:
        return round(self._images / max(self._image_seconds, 1e-6), 2)

    def _start(self, _training: Any) -> None:
        self._train_began = time.monotonic()
        self._fit_time_limit()

    def _start_epoch(self, _training: Any) -> None:
        self._epoch_began = time.monotonic()

    def _end_step(self, training: Any) -> None:
        self._steps += 1
        self._images = min(self._images + training.batch_size, (training.epoch + 1) * training.images)
        now = time.monotonic()
        if self._limit:
            progress = min((now - self._began) / self._limit, 1.0)
        else:
            progress = self._images / (training.epochs * training.images)
        seconds = now - self._train_began
        last = next(reversed(training.validations.values()), None)
        self._on_step(
            TrainStep(
                step=self._steps,
                epoch=training.epoch + 1,
                progress=progress,
                seconds=seconds,
                seconds_left=seconds * (1 - progress) / progress,
                loss={key: float(value) for key, value in training.loss_items.items()},
                map50=last and last[0],
            )
        )

    def _end_epoch(self, training: Any) -> None:
        now = time.monotonic()
        self._image_seconds += now - self._epoch_began
        loss = {key: round(float(value), 5) for key, value in training.tloss.items()}
        self._losses.append((round(now - self._train_began, 2), loss))
        share = (training.epoch + 1) / training.epochs
        due = share * _VALIDATIONS >= len(training.validations) + 1
        training.args.val = due or training.stop or training.args.patience > 0
        self._fit_time_limit()

    def _fit_time_limit(self) -> None:
        """Set ultralytics' time limit, to which it fits the epochs and the learning rate."""
        if self._limit is not None:
            before = self._train_began - self._began
            after = _CLOSING_S + self._training.validation_s
            self._training.args.time = max(self._limit - before - after, 1.0) / 3600
