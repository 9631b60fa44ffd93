"""Training loop: batch, loss, step, average, and a validation now and then."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edgeloop.edge.cli.signals import stopped_by_signals
from edgeloop.export.data.image_cache import ImageCache
from edgeloop.export.learn.batches import Batch, batches
from edgeloop.export.learn.checkpoint import Progress, load_checkpoint, save_checkpoint, save_epochs
from edgeloop.export.learn.detection_loss import batch_losses
from edgeloop.export.learn.optimization import MovingAverage, learning_rate, make_optimizer, set_learning_rate
from edgeloop.export.learn.recipe import Recipe
from edgeloop.export.learn.validation import quality, validate
from edgeloop.export.network.blocks import folded
from edgeloop.export.network.compact_detector import CompactDetector
from edgeloop.export.network.device import has_bfloat16
from edgeloop.export.network.frozen_backbone import FrozenBackbone
from edgeloop.export.trainer import Epoch, OnStep, TrainStep
from edgeloop.models.errors import DataError

__all__ = ["Task", "fit"]

_VALIDATIONS = 3
_CHECKPOINT_S = 15.0
_CLOSING_S = 3.0  # reserved from a time limit for the files of the run
_LARGEST_GRADIENT = 10.0


@dataclass(frozen=True)
class Task:
    """One training of a detector.

    Attributes:
        train: Training images.
        val: Held-out images, some with an object; None to train without.
        names: Class names by class number.
        recipe: Settings.
        seed: Random seed.
        patience: Epochs without a better mAP50-95 after which to stop; None never stops early.
        seconds: Time for steps and validations, s; None trains for the recipe's steps.
        folder: Folder for the checkpoint.
        max_detections: Maximum number of detections per image in validation.
    """

    train: ImageCache
    val: ImageCache | None
    names: Sequence[str]
    recipe: Recipe
    seed: int
    patience: int | None
    seconds: float | None
    folder: Path
    max_detections: int = 300


def fit(detector: CompactDetector, task: Task, on_step: OnStep) -> tuple[CompactDetector, Progress]:
    """Train a detector in place, from the checkpoint in the folder if there is one.

    Args:
        detector: Detector on its device.
        task: The training.
        on_step: Called after every step.

    Returns:
        The best detector that was validated, or else the last one, with averaged weights in evaluation mode;
        and the course of the training.

    Raises:
        DataError: An image or the checkpoint cannot be read, or the loss is no longer a number.
        UnavailableError: The checkpoint cannot be written.
    """
    return _Fit(detector, task).run(on_step)


def _signals() -> AbstractContextManager[Sequence[int]]:
    """Collect the signals that end a training after the step in hand; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        return nullcontext(())
    return stopped_by_signals(lambda: None)


class _Fit:
    def __init__(self, detector: CompactDetector, task: Task) -> None:
        self._task, self._detector = task, detector.train().to(memory_format=torch.channels_last)
        dtype = torch.bfloat16 if has_bfloat16(next(detector.parameters()).device) else torch.float32
        self._backbone = FrozenBackbone(detector.backbone, task.recipe.freeze, dtype)
        self._optimizer = make_optimizer(detector)
        self._average = MovingAverage(detector)
        self._progress = self._resumed()
        self._began = time.monotonic() - self._progress.seconds
        self._saved = time.monotonic()
        self._validation_s = 0.0
        self._epoch_steps = -(-len(task.train) // task.recipe.batch)

    def run(self, on_step: OnStep) -> tuple[CompactDetector, Progress]:
        progress, recipe = self._progress, self._task.recipe
        stream = batches(
            self._task.train, recipe.batch, recipe.canvas, recipe.augmentation, seed=self._task.seed,
            first=progress.step,
        )  # fmt: skip
        with closing(stream), _signals() as received:
            share = self._share()
            while not self._is_over(share):
                began = time.monotonic()
                losses = self._step(next(stream), share)
                progress.step += 1
                progress.step_seconds += time.monotonic() - began
                for name, value in losses.items():
                    progress.loss[name] = progress.loss.get(name, 0.0) + value
                share = self._share()
                if progress.step % self._epoch_steps == 0 or share >= 1:
                    self._end_epoch(share)
                on_step(self._state(losses, share))
                if received or time.monotonic() - self._saved >= _CHECKPOINT_S:
                    self._checkpoint()
                if received:
                    raise KeyboardInterrupt
        kept = self._average.detector
        if progress.best:
            kept.load_state_dict(progress.best)
        return kept, progress

    def _step(self, batch: Batch, share: float) -> dict[str, float]:
        """Learn from one batch and return the parts of its loss."""
        recipe, detector = self._task.recipe, self._detector
        set_learning_rate(self._optimizer, learning_rate(recipe.learning_rate, share, recipe.warm_up))
        losses = batch_losses(detector, self._backbone, batch)
        self._optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        norm = nn.utils.clip_grad_norm_(detector.parameters(), _LARGEST_GRADIENT)
        values = {name: float(value.detach()) for name, value in losses.parts.items()}
        if not all(map(math.isfinite, (*values.values(), float(norm)))):
            raise DataError(
                f"step {self._progress.step + 1}: the loss or its gradient is no longer a number; "
                "train with another --seed, --weights or --batch"
            )
        self._optimizer.step()
        self._average.update(detector)
        return values

    def _elapsed(self) -> float:
        """Time spent on the training, earlier runs of it included, s."""
        return time.monotonic() - self._began

    def _share(self) -> float:
        """Share of the training that is over."""
        steps, seconds = self._task.recipe.steps, self._task.seconds
        shares = [0.0]
        if steps is not None:
            shares.append(self._progress.step / steps)
        if seconds is not None:
            shares.append(self._elapsed() / max(seconds - _CLOSING_S - self._validation_s, 1e-3))
        return max(shares)

    def _is_over(self, share: float) -> bool:
        """True after the last epoch; a training that is resumed after its time limit still completes one."""
        progress, task = self._progress, self._task
        if progress.loss or not progress.epochs:
            return False
        last = progress.epochs[-1]
        if task.patience is not None and last.number - progress.best_epoch >= task.patience:
            return True
        return share >= 1 and (task.val is None or last.map50 is not None)

    def _end_epoch(self, share: float) -> None:
        """Record an epoch and validate if it is due."""
        progress, task = self._progress, self._task
        number = len(progress.epochs) + 1
        seconds = self._elapsed()
        due = share >= 1 or share * _VALIDATIONS >= 1 + sum(e.map50 is not None for e in progress.epochs)
        scores: dict[str, float] = {}
        if task.val is not None and (due or task.patience is not None):
            scores = validate(
                folded(self._average.detector), task.val, task.names, task.recipe.side, task.max_detections
            )
            self._validation_s = max(self._validation_s, self._elapsed() - seconds)
            if not progress.best_scores or quality(scores) >= quality(progress.best_scores):
                progress.best_scores, progress.best_epoch = scores, number
                progress.best = {
                    name: value.cpu().clone() for name, value in self._average.detector.state_dict().items()
                }
        steps = progress.step - self._epoch_steps * len(progress.epochs)
        progress.epochs.append(
            Epoch(
                number=number,
                seconds=round(seconds, 2),
                loss={name: round(value / max(steps, 1), 5) for name, value in progress.loss.items()},
                **scores,
            )
        )
        progress.loss = {}
        save_epochs(task.folder, progress)

    def _state(self, losses: dict[str, float], share: float) -> TrainStep:
        progress = self._progress
        seconds = self._elapsed()
        validated = [epoch.map50 for epoch in progress.epochs if epoch.map50 is not None]
        return TrainStep(
            step=progress.step,
            epoch=(progress.step - 1) // self._epoch_steps + 1,
            progress=min(share, 1.0),
            seconds=seconds,
            seconds_left=seconds / share * max(1 - share, 0.0),
            loss=losses,
            map50=validated[-1] if validated else None,
        )

    def _checkpoint(self) -> None:
        self._progress.seconds = self._elapsed()
        states = {
            "detector": self._detector.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average.detector.state_dict(),
            "averaged": self._average.steps,
        }
        save_checkpoint(self._task.folder, self._progress, states)
        self._saved = time.monotonic()

    def _resumed(self) -> Progress:
        folder = self._task.folder
        try:
            found = load_checkpoint(folder)
            if found is None:
                return Progress()
            progress, states = found
            self._detector.load_state_dict(states["detector"])
            self._optimizer.load_state_dict(states["optimizer"])
            self._average.detector.load_state_dict(states["average"])
            self._average.steps = states["averaged"]
        except Exception as error:  # torch raises whatever the bytes lead it to
            raise DataError(f"{folder}: its checkpoint cannot be read; remove it to start anew") from error
        return progress
