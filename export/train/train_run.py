"""Train a detector on a labeled dataset and write its run folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from edgeloop.edge.cli.progress import progress_bar
from edgeloop.export.data.yolo_dataset import Dataset, open_dataset
from edgeloop.export.learn.edgeloop_trainer import train_edgeloop
from edgeloop.export.train.curves import draw_curves
from edgeloop.export.train.require import require_ultralytics
from edgeloop.export.train.run_record import RunRecord, write_record
from edgeloop.export.train.unfinished_run import unfinished_run
from edgeloop.export.train_options import TrainOptions
from edgeloop.export.trainer import WEIGHTS_FILES, OnStep, Trained, Trainer, TrainStep
from edgeloop.models.errors import DataError, UsageError
from edgeloop.models.weights.digest import file_sha256

__all__ = ["train_run"]

_PERCENT = 100

_log = logging.getLogger(__name__)


def train_run(dataset: Path, run: Path, options: TrainOptions, on_step: OnStep | None) -> RunRecord:
    """Do the work of `train_detector`, with the same arguments, result and errors."""
    trainer = _trainer(options)
    began = time.monotonic()
    _check_run(run, overwrite=options.overwrite)
    data = open_dataset(dataset, task=options.task)
    _check_dataset(data, options)
    try:
        run.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {run}: {run.parent} is no folder and cannot be made one") from error
    start_digest = _start_digest(options)
    left = options
    if options.time_limit_s is not None:
        left = replace(options, time_limit_s=max(options.time_limit_s - (time.monotonic() - began), 1.0))
    resumable = options.trainer == "edgeloop"  # ultralytics leaves nothing to continue from
    with unfinished_run(run, options, data.digest, resumable=resumable) as unfinished:
        with _shown() as show:

            def note(step: TrainStep) -> None:
                unfinished.keep = resumable
                show(step)
                if on_step is not None:
                    on_step(step)

            try:
                trained = trainer(data, unfinished.folder, left, note)
            except KeyboardInterrupt:
                if unfinished.keep:
                    _log.warning("%s: the same command continues this training", run)
                raise
        digests = (start_digest, file_sha256(unfinished.folder / WEIGHTS_FILES[options.trainer]))
        record = _record(options, data, trained, digests, seconds=time.monotonic() - began)
        finished = unfinished.folder / "run"
        finished.mkdir(exist_ok=True)
        (unfinished.folder / record.weights_file).replace(finished / record.weights_file)
        draw_curves(record, finished / "curves.png")
        write_record(record, finished)
        if run.exists():
            run.replace(unfinished.folder / "earlier")
        finished.replace(run)
        unfinished.keep = False
    return record


def _trainer(options: TrainOptions) -> Trainer:
    if options.trainer == "edgeloop":
        return train_edgeloop
    require_ultralytics("--trainer ultralytics: needs ultralytics")
    # Imported here because ultralytics is optional.
    from edgeloop.export.ultralytics.train_ultralytics import train_ultralytics

    return train_ultralytics


@contextmanager
def _shown() -> Iterator[Callable[[TrainStep], None]]:
    """Show a progress bar in percent from the first step on."""
    with ExitStack() as stack:
        advance: Callable[[int], None] | None = None
        shown = 0

        def show(step: TrainStep) -> None:
            nonlocal advance, shown
            done = int(_PERCENT * step.progress)
            if advance is None:
                shown = done if step.step > 1 else 0  # a training that continues
                advance = stack.enter_context(progress_bar(_PERCENT, "Training", initial=shown))
            advance(done - shown)
            shown = done

        yield show
        if advance is not None:
            advance(_PERCENT - shown)


def _start_digest(options: TrainOptions) -> str | None:
    """Digest of the file of start weights; None without one, also if it is missing, which trainers tell."""
    path = None if options.weights is None else Path(options.weights)
    return file_sha256(path) if path is not None and path.suffix and path.is_file() else None


def _record(
    options: TrainOptions, data: Dataset, trained: Trained, digests: tuple[str | None, str], seconds: float
) -> RunRecord:
    """Record of a training; `digests` are those of the start weights and of the trained ones."""
    # A training that was continued is longer than this process.
    seconds = max(seconds, trained.epochs[-1].seconds if trained.epochs else 0.0)
    return RunRecord(
        trainer=options.trainer,
        task=options.task,
        model=options.model_name,
        weights=trained.start,
        start_weights_sha256=digests[0],
        weights_sha256=digests[1],
        activation=options.activation,
        names=data.names,
        dataset=str(data.root),
        dataset_sha256=data.digest,
        imgsz=trained.imgsz,
        batch=min(options.batch, len(data.train)),
        freeze=trained.freeze,
        seed=options.seed,
        max_detections=options.max_detections,
        images=len(data.train),
        seconds=round(seconds, 2),
        images_per_second=trained.images_per_second,
        epochs=trained.epochs,
        map50=trained.map50,
        map50_95=trained.map50_95,
        mask_map50=trained.mask_map50,
        mask_map50_95=trained.mask_map50_95,
        versions={"edgeloop": version("edgeloop"), **trained.versions},
    )


def _check_run(run: Path, *, overwrite: bool) -> None:
    if not run.name:
        raise UsageError(f"--out {run}: expected a folder to create, by its name")
    if not run.exists() or (run.is_dir() and not any(run.iterdir())):
        return
    if not (run / "run.json").is_file():
        raise DataError(f"{run}: exists and is no earlier run; name another folder")
    if not overwrite:
        raise DataError(f"{run}: holds an earlier run; name another folder, or replace it with --overwrite")


def _check_dataset(data: Dataset, options: TrainOptions) -> None:
    if not data.train:
        raise DataError(f"{data.root / 'data.yaml'}: no images under train; there is nothing to learn from")
    most = max((*data.train, *data.val), key=lambda image: len(image.class_id))
    if len(most.class_id) > options.max_detections:
        _log.warning(
            "%s: %d objects, more than a detector reports; give --max-detections %d or more",
            most.path, len(most.class_id), len(most.class_id),
        )  # fmt: skip
    if not any(len(image.class_id) for image in data.train):
        raise DataError(f"{data.root}: none of the {len(data.train)} training images shows an object")
