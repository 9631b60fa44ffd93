"""Ultralytics' detection trainer, optimized for the CPU and without side effects.

Two things make it faster there: autocast to bfloat16, which ultralytics allows on CUDA only, and
channels-last memory.
"""

from __future__ import annotations

import copy
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from ultralytics.engine import trainer as engine
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import DetectionModel

from edgeloop.export.data.yolo_dataset import Dataset
from edgeloop.export.ultralytics.cached_images import CachedImages

__all__ = ["CpuTraining"]

_TOLERANCE = 0.005  # mAP50-95 that an output without non-maximum suppression may cost


# The name does not contain "Trainer": ultralytics adds its cloud callbacks to classes that do.
class CpuTraining(DetectionTrainer):  # type: ignore[misc]  # ultralytics is untyped
    """DetectionTrainer over a `Dataset`; on a CPU in bfloat16 and channels-last memory, its loss in float32.

    It validates after the last epoch, and after those for which a callback sets `args.val`; the best is kept.

    Args:
        dataset: Dataset to train on.
        detector: Detector to train, in place.
        folder: Folder for `best.pt` and ultralytics' own files.
        device: Device to train on; on CUDA ultralytics' own mixed precision is used.
        overrides: Ultralytics' training arguments.

    Attributes:
        validations: mAP50 and mAP50-95 by number of the epoch, from 1 on.
        validation_s: Duration of the longest validation, s.
    """

    fitness: float  # mAP50-95 of the last validation, and of the best one
    best_fitness: float

    def __init__(
        self,
        dataset: Dataset,
        detector: DetectionModel,
        folder: Path,
        *,
        device: torch.device,
        **overrides: Any,
    ) -> None:
        self._dataset = dataset
        on_gpu = device.type == "cuda"
        fixed = {
            "model": "detector.yaml", "save_dir": str(folder), "task": "detect",
            "device": "0" if on_gpu else "cpu", "workers": 0, "amp": on_gpu, "plots": False, "val": False,
            "verbose": False, "patience": 0,
        }  # fmt: skip
        super().__init__(overrides=fixed | overrides)
        self.model = detector
        self.best = folder / "best.pt"
        self.validations: dict[int, tuple[float, float]] = {}
        self.validation_s = 0.0

    @property
    def images(self) -> int:
        """Number of training images."""
        return len(self._dataset.train)

    def get_dataset(self) -> dict[str, Any]:
        """Describe the dataset to ultralytics."""
        names = dict(enumerate(self._dataset.names))
        return {"train": "train", "val": "val", "names": names, "nc": len(names), "channels": 3}

    def build_dataset(
        self,
        img_path: str,  # noqa: ARG002 (ultralytics' signature)
        mode: str = "train",
        batch: int | None = None,
    ) -> CachedImages:
        """Build the training or validation part."""
        images = self._dataset.train if mode == "train" else self._dataset.val
        return CachedImages(
            images, prefix=mode, data=self.data, imgsz=self.args.imgsz, augment=mode == "train",
            hyp=self.args, batch_size=batch,
        )  # fmt: skip

    def _setup_train(self) -> None:
        engine.check_amp = _has_amp  # ultralytics' own check downloads a detector
        super()._setup_train()
        if self.device.type != "cpu":
            return
        # After the optimizer and the moving average exist: both work on the bare model, which they reach
        # through ultralytics' own `unwrap_model`, as they would under DistributedDataParallel.
        self.ema.ema.to(memory_format=torch.channels_last)
        self.model = _Bfloat16(self.model.to(memory_format=torch.channels_last))

    def validate(self) -> tuple[dict[str, float], float]:
        """Validate and note the scores and the duration."""
        began = time.monotonic()
        metrics, fitness = super().validate()
        self.validations[self.epoch + 1] = (metrics["metrics/mAP50(B)"], metrics["metrics/mAP50-95(B)"])
        self.validation_s = max(self.validation_s, time.monotonic() - began)
        return metrics, fitness

    def save_model(self) -> bool:
        """Save the averaged weights as an ultralytics checkpoint if the last validation was the best."""
        if self.epoch + 1 not in self.validations or self.fitness != self.best_fitness:
            return False
        model = copy.deepcopy(self.ema.ema).half().to(memory_format=torch.contiguous_format)
        model.args, model.criterion = dict(vars(self.args)), None
        checkpoint = {
            "model": model,
            "train_args": model.args,
            "date": datetime.now().astimezone().isoformat(),
            "version": version("ultralytics"),
            "license": "AGPL-3.0 (https://ultralytics.com/license)",
        }
        torch.save(checkpoint, self.best)
        return True

    def final_eval(self) -> None:
        """Validate the last epoch and choose the head.

        A time limit may end the training after an epoch that was not validated. A detector with two heads is
        saved with the better one: the end-to-end head needs no non-maximum suppression, but learns from one
        location per object instead of ten and lags behind in a short training.
        """
        if self.epoch + 1 not in self.validations:
            self.metrics, self.fitness = self.validate()
            self.save_model()
        if getattr(self.ema.ema.model[-1], "one2one_cv2", None) is None:
            return
        self.validator.args.nms = False  # validates the end-to-end head
        dense, best = self.validations[self.epoch + 1], self.best_fitness
        self.metrics, self.fitness = self.validate()
        if self.fitness >= best - _TOLERANCE:
            self.best_fitness = self.fitness
            self.save_model()
        else:
            self.validations[self.epoch + 1] = dense


class _Bfloat16(nn.Module):
    """Wrapper that runs a detector under autocast and its loss in float32.

    Box edges in bfloat16 would be off by up to two pixels.
    """

    def __init__(self, module: DetectionModel) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        image = batch["img"].contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            predictions = self.module(image)
        loss: tuple[Tensor, dict[str, Tensor]] = self.module.loss(batch, tree_map(Tensor.float, predictions))
        return loss


def _has_amp(model: nn.Module) -> bool:
    return next(model.parameters()).device.type == "cuda"
