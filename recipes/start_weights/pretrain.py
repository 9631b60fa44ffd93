"""Start weights: a detector taught, once, to tell things from background on a wide range of photographs.

All classes become one, "object". A user's training then starts from a network that knows where things end,
and has only their names to learn. The recipe is here so that anybody can make a better set from more images:

    python -m recipes.start_weights.pretrain --data coco --data cars:car --val coco_val --hours 1.4 -o OUT

A `--data` folder holds `instances.json` (COCO) and `images/`; after a colon come the categories to use. A
folder that is named twice is seen twice as often. After every epoch OUT gets `edgeloop-lite0.safetensors`,
the start weights, and `metrics.json`; run again with the same OUT, it goes on for the hours that are left.
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
from edgeloop.export.train.train_options import DEFAULT_MODEL
from edgeloop.export.train.ultralytics_trainer import CpuTraining
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["PretrainOptions", "pretrain"]

_STAGES = 7  # of the backbone: stem and six more
_VALIDATE_EVERY = 5


@dataclass(frozen=True)
class PretrainOptions:
    """How to make start weights.

    Attributes:
        data: COCO folders to learn from, each with the category names to use (empty: all).
        val: COCO folder to measure on.
        out: Folder for weights and metrics.
        hours: Wall time to train for, earlier runs on the same `out` included.
        start: Safetensors to begin with; None begins with ImageNet weights in the backbone.
        still: Number of backbone stages, from the image on, that do not learn (7 is all).
        learning_rate: Peak rate of AdamW.
        imgsz: Side of the training image, px.
        batch: Images per step.
    """

    data: tuple[tuple[Path, tuple[str, ...]], ...]
    val: Path
    out: Path
    hours: float
    start: Path | None = None
    still: int = _STAGES
    learning_rate: float = 2e-3
    imgsz: int = 320
    batch: int = 16


def pretrain(options: PretrainOptions) -> Path:
    """Train class-agnostic start weights.

    Args:
        options: What to learn from, and for how long.

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
        # A run that goes on does so at the rate that the first one had reached.
        lr0=options.learning_rate * hours / options.hours, momentum=0.9, weight_decay=5e-4, close_mosaic=6,
        freeze=[f"0.m.{stage}" for stage in range(options.still)], deterministic=False,
    )  # fmt: skip
    keeper = _Keeper(options, metrics, weights, checkpoint)
    trainer.add_callback("on_train_epoch_end", keeper.choose_validation)
    trainer.add_callback("on_fit_epoch_end", keeper.keep)
    trainer.train()
    return weights


class _Keeper:
    """Writes the averaged weights and the figures after every epoch."""

    def __init__(
        self, options: PretrainOptions, metrics: dict[str, Any], weights: Path, checkpoint: Path
    ) -> None:
        self._options, self._metrics = options, metrics
        self._weights, self._checkpoint = weights, checkpoint
        self._hours_before = metrics["hours"]

    def choose_validation(self, trainer: Any) -> None:
        trainer.args.val = (trainer.epoch + 1) % _VALIDATE_EVERY == 0 or trainer.epoch + 1 >= trainer.epochs

    def keep(self, trainer: Any) -> None:
        seconds = time.time() - trainer.train_time_start
        entry = {
            "epoch": trainer.epoch + 1,
            "images": len(trainer.train_loader.dataset),
            "seconds": round(seconds, 1),
            "still": self._options.still,
            "learning_rate": trainer.lr["lr/pg0"],
            "loss": {key: round(float(value), 4) for key, value in trainer.tloss.items()},
        }
        if measured := trainer.validations.get(trainer.epoch + 1):
            entry |= {"map50": measured[0], "map50_95": measured[1]}
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
    """Images of a COCO folder, with the boxes of some categories as the one class 0."""
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
    parser = argparse.ArgumentParser(description="Make class-agnostic start weights for edgeloop-lite0.")
    parser.add_argument("--data", type=_data, action="append", required=True, metavar="FOLDER[:CATEGORY,...]")
    parser.add_argument("--val", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--hours", type=float, required=True)
    parser.add_argument("--start", type=Path, metavar="FILE.safetensors")
    parser.add_argument("--still", type=int, default=_STAGES, metavar="STAGES")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("-o", "--out", type=Path, required=True)
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
            still=args.still,
            learning_rate=args.learning_rate,
        )
    )


if __name__ == "__main__":
    _main()
