"""Trainer of edgeloop-lite0 in plain torch."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

import torch

from edgeloop.edge.host.malloc import keep_freed_memory
from edgeloop.export.data.image_cache import ImageCache
from edgeloop.export.data.yolo_dataset import Dataset
from edgeloop.export.learn.fit import Task, fit
from edgeloop.export.learn.recipe import choose_recipe
from edgeloop.export.network.detector_weights import write_detector
from edgeloop.export.network.device import choose_device
from edgeloop.export.network.mask_branch import PROTOTYPES
from edgeloop.export.network.start_detector import start_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.export.trainer import WEIGHTS_FILES, OnStep, Trained
from edgeloop.models.errors import DataError, UnavailableError

__all__ = ["train_edgeloop"]


def train_edgeloop(data: Dataset, folder: Path, options: TrainOptions, on_step: OnStep) -> Trained:
    """Train edgeloop-lite0, with the arguments and the result of the protocol `Trainer`.

    Raises:
        NoInputError: A file of weights does not exist.
        DataError: An image or a checkpoint cannot be read, patience has nothing to validate on, or the loss
            is no longer a number.
        ModelError: A file of weights cannot be used.
        UnavailableError: CUDA was asked for and there is none, or its memory does not suffice.
        UsageError: The weights are unknown.
    """
    began = time.monotonic()
    scored = any(len(image.class_id) for image in data.val)
    if options.patience is not None and not scored:
        raise DataError(f"{data.root}: no object in the validation part, by which --patience would stop")
    keep_freed_memory()
    device = choose_device(options.device)
    detector, start = start_detector(
        data.names,
        options.weights,
        seed=options.seed,
        masks=PROTOTYPES if options.task == "segment" else 0,
    )
    recipe = choose_recipe(data.train, options)
    train = ImageCache(data.train, recipe.side, "Reading train")
    val = ImageCache(data.val, recipe.side, "Reading val") if scored else None
    seconds = options.time_limit_s
    if seconds is not None:  # reading the images takes its share
        seconds = max(seconds - (time.monotonic() - began), 1.0)
    task = Task(
        train=train, val=val, names=data.names, recipe=recipe, seed=options.seed, patience=options.patience,
        seconds=seconds, folder=folder, max_detections=options.max_detections,
    )  # fmt: skip
    try:
        kept, progress = fit(detector.to(device), task, on_step)
    except torch.cuda.OutOfMemoryError as error:
        raise UnavailableError("--device cuda: out of memory; choose a smaller --batch or --imgsz") from error
    write_detector(kept, data.names, folder / WEIGHTS_FILES["edgeloop"])
    return Trained(
        start=start,
        epochs=tuple(progress.epochs),
        map50=progress.best_scores.get("map50"),
        map50_95=progress.best_scores.get("map50_95"),
        images_per_second=round(progress.step * recipe.batch / max(progress.step_seconds, 1e-6), 2),
        imgsz=recipe.side,
        freeze=recipe.freeze,
        versions={"torch": version("torch")},
        mask_map50=progress.best_scores.get("mask_map50"),
        mask_map50_95=progress.best_scores.get("mask_map50_95"),
    )
