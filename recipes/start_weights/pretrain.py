"""Pretrain start weights: class-agnostic detection on a wide range of photographs.

All classes become one, "object". A user's training then starts from a network that localizes objects and has
only their classes to learn.

    python -m recipes.start_weights.pretrain --data coco --data cars:car --val coco_val --hours 1.4 -o OUT

After every epoch OUT gets `edgeloop-lite0.safetensors`, the start weights, and `metrics.json`; run again with
the same OUT, it resumes for the hours that are left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeloop.export.data.yolo_dataset import Dataset, LabeledImage
from edgeloop.export.train.detector_weights import start_state, write_state
from edgeloop.export.train.detectors import build_detector
from edgeloop.export.train_options import DEFAULT_MODEL
from edgeloop.export.train.ultralytics_trainer import CpuTraining
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["PretrainOptions", "pretrain"]

_STAGES = 7  # of the backbone: stem and six more
_VALIDATE_EVERY = 5


@dataclass(frozen=True)
class PretrainOptions:
    """Options of the pretraining.

    Attributes:
        data: COCO folders to train on, each with the category names to use (empty: all).
        val: COCO folder to validate on.
        out: Folder for weights and metrics.
        hours: Wall time, including earlier runs in the same `out`, h.
        start: Safetensors to start from; None starts from ImageNet weights in the backbone.
        freeze: Number of leading backbone stages that are not trained (7 is all).
        learning_rate: Peak learning rate of AdamW.
        imgsz: Side of the training image, px.
        batch: Images per step.
    """

    data: tuple[tuple[Path, tuple[str, ...]], ...]
    val: Path
    out: Path
    hours: float
    start: Path | None = None
    freeze: int = _STAGES
    learning_rate: float = 2e-3
    imgsz: int = 320
    batch: int = 16


def pretrain(options: PretrainOptions) -> Path:
    """Train class-agnostic start weights.

    Args:
        options: Options of the pretraining.

    Returns:
        Path of the safetensors file, half precision.

    Raises:
        NoInputError: A data folder has no instances.json.
        DataError: A data folder lacks a category that was asked for.
    """
    weights, checkpoint = options.out / f"{DEFAULT_MODEL}.safetensors", options.out / "checkpoint.safetensors"
    metrics = _read_metrics(options.out)
    hours = options.hours - metrics["hours"]
    if hours <= 0:
        return weights
    dataset = _dataset(options)
    start = checkpoint if checkpoint.exists() else options.start
    detector = build_detector(DEFAULT_MODEL, str(start or "imagenet"), dataset.names, seed=0)
    trainer = CpuTraining(
        dataset, detector, options.out, imgsz=options.imgsz, batch=options.batch, nbs=options.batch,
        epochs=1000, time=hours, optimizer="AdamW", lrf=0.01, warmup_epochs=1.0, warmup_bias_lr=0.0,
        # A resumed run starts at the learning rate that the first one had reached.
        lr0=options.learning_rate * hours / options.hours, momentum=0.9, weight_decay=5e-4, close_mosaic=6,
        freeze=[f"0.m.{stage}" for stage in range(options.freeze)], deterministic=False,
    )  # fmt: skip
    checkpoints = _Checkpoints(options, metrics, weights, checkpoint)
    trainer.add_callback("on_train_epoch_end", checkpoints.choose_validation)
    trainer.add_callback("on_fit_epoch_end", checkpoints.write)
    trainer.train()
    return weights


class _Checkpoints:
    """Callbacks that write the averaged weights and the metrics after every epoch."""

    def __init__(
        self, options: PretrainOptions, metrics: dict[str, Any], weights: Path, checkpoint: Path
    ) -> None:
        self._options, self._metrics = options, metrics
        self._weights, self._checkpoint = weights, checkpoint
        self._hours_before = metrics["hours"]

    def choose_validation(self, trainer: Any) -> None:
        """Validate every few epochs and after the last one."""
        trainer.args.val = (trainer.epoch + 1) % _VALIDATE_EVERY == 0 or trainer.epoch + 1 >= trainer.epochs

    def write(self, trainer: Any) -> None:
        """Write weights and metrics."""
        seconds = time.time() - trainer.train_time_start
        entry = {
            "epoch": trainer.epoch + 1,
            "images": len(trainer.train_loader.dataset),
            "seconds": round(seconds, 1),
            "freeze": self._options.freeze,
            "learning_rate": trainer.lr["lr/pg0"],
            "loss": {key: round(float(value), 4) for key, value in trainer.tloss.items()},
        }
        if scores := trainer.validations.get(trainer.epoch + 1):
            entry |= {"map50": scores[0], "map50_95": scores[1]}
        self._metrics["hours"] = self._hours_before + seconds / 3600
        self._metrics["epochs"].append(entry)
        write_state(trainer.ema.ema.state_dict(), self._checkpoint)
        write_state(start_state(trainer.ema.ema), self._weights)
        (self._options.out / "metrics.json").write_text(json.dumps(self._metrics, indent=1) + "\n")
        print(json.dumps(entry), flush=True)


def _read_metrics(out: Path) -> dict[str, Any]:
    path = out / "metrics.json"
    metrics: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"hours": 0.0, "epochs": []}
    return metrics


def _dataset(options: PretrainOptions) -> Dataset:
    train = [image for folder, categories in options.data for image in _read_coco(folder, categories)]
    val = _read_coco(options.val, ())
    digest = hashlib.sha256(b"".join((folder / "instances.json").read_bytes() for folder, _ in options.data))
    return Dataset(options.out, ("object",), tuple(train), tuple(val), digest.hexdigest())


def _read_coco(folder: Path, categories: Sequence[str]) -> list[LabeledImage]:
    """Read the images of a COCO folder, with the boxes of some categories as class 0."""
    path = folder / "instances.json"
    if not path.is_file():
        raise NoInputError(f"{path}: no such file; --data names folders with a COCO instances.json")
    coco = json.loads(path.read_text(encoding="utf-8"))
    known = {category["name"]: category["id"] for category in coco["categories"]}
    if unknown := [name for name in categories if name not in known]:
        raise DataError(f"{path}: no category {unknown[0]!r}; it has {', '.join(known)}")
    wanted = {known[name] for name in categories or known}
    boxes: dict[int, list[list[float]]] = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        if annotation["category_id"] in wanted and not annotation.get("iscrowd"):
            boxes[annotation["image_id"]].append(annotation["bbox"])
    images = []
    for image in coco["images"]:
        xywh = np.array(boxes[image["id"]], np.float32).reshape(-1, 4)
        xywh[:, :2] += xywh[:, 2:] / 2
        xywh /= np.array([image["width"], image["height"]] * 2, np.float32)
        class_id = np.zeros(len(xywh), np.int64)
        images.append(LabeledImage(folder / "images" / image["file_name"], class_id, xywh.clip(0, 1)))
    return images


def _data(text: str) -> tuple[Path, tuple[str, ...]]:
    folder, _, categories = text.partition(":")
    return Path(folder), tuple(name for name in categories.split(",") if name)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Pretrain class-agnostic start weights for edgeloop-lite0.")
    add = parser.add_argument
    add(
        "--data",
        type=_data,
        action="append",
        required=True,
        metavar="FOLDER[:CATEGORY,...]",
        help="COCO folder and the categories to use (default: all); name it twice to double its share",
    )
    add("--val", type=Path, required=True, metavar="FOLDER", help="COCO folder to validate on")
    add("--hours", type=float, required=True, help="time limit, including earlier runs in OUT")
    add("--start", type=Path, metavar="FILE.safetensors", help="start weights (default: ImageNet's)")
    add(
        "--freeze",
        type=int,
        default=_STAGES,
        metavar="N",
        help="leading backbone stages to freeze (7: all)",
    )
    add("--learning-rate", type=float, default=2e-3, help="peak learning rate")
    add("--threads", type=int, help="threads of torch")
    add("-o", "--out", type=Path, required=True, help="folder to write to")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    pretrain(
        PretrainOptions(
            data=tuple(args.data),
            val=args.val,
            out=args.out,
            hours=args.hours,
            start=args.start,
            freeze=args.freeze,
            learning_rate=args.learning_rate,
        )
    )


if __name__ == "__main__":
    _main()
