"""Pretrain start weights of edgeloop-lite0 on photographs of many kinds of objects.

Each folder labels some kinds of objects and is silent about all others. So every folder has classes of its
own, and an image teaches only the classes of its folder, mosaics included. A user's training then starts from
a network that localizes objects and tells kinds apart; the last layer of the class branches starts anew.

    python -m recipes.start_weights.pretrain --data coco=6 --data cars --images 50000 -o OUT

Every few minutes OUT gets `checkpoint.pt`; run again with the same OUT, it resumes. At the end OUT gets
`edgeloop-lite0.safetensors`, the start weights.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from edgeloop.edge.host.malloc import keep_freed_memory
from edgeloop.edge.host.opencv import read_image
from edgeloop.export.learn.augment import Augmentation, Canvas, Sample, augmented, resized
from edgeloop.export.learn.batches import Batch, stacked
from edgeloop.export.learn.detection_loss import batch_losses
from edgeloop.export.learn.optimization import MovingAverage, learning_rate, make_optimizer, set_learning_rate
from edgeloop.export.network.compact_detector import CompactDetector, is_class_layer
from edgeloop.export.network.detector_weights import write_state
from edgeloop.export.network.frozen_backbone import FrozenBackbone
from edgeloop.export.network.lite0_backbone import STAGES, imagenet_state
from edgeloop.export.network.start_detector import rescale
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["Folder", "PretrainOptions", "pretrain"]

_LONGEST_SIDE = 448  # of the images in memory, px
_SIDES = (256, 320, 384, 448)  # of a batch, px
_BATCH_AT_320 = 12
_LEARNING_RATE, _WARM_UP = 1.5e-3, 0.02
_AUGMENTATION = Augmentation(mosaic=0.5, scale=0.5, shift=0.15, hue=0.015, saturation=0.5, brightness=0.35)
_CHECKPOINT_STEPS = 200
_SEED = 7


class Folder(NamedTuple):
    """COCO folder to train on.

    Attributes:
        path: Folder with images/ and instances.json.
        weight: Share of an image of this folder relative to one of weight 1.
    """

    path: Path
    weight: float


@dataclass(frozen=True)
class PretrainOptions:
    """Options of the pretraining.

    Attributes:
        data: Folders to train on.
        images: Number of images to see, with repetition.
        out: Folder for the weights and the checkpoint.
    """

    data: tuple[Folder, ...]
    images: int
    out: Path


@dataclass(frozen=True, eq=False)
class _Group:
    """Images of one folder, and the range of their classes."""

    samples: Sequence[Sample]
    first_class: int
    end_class: int
    weight: float


def pretrain(options: PretrainOptions) -> Path:
    """Train start weights.

    Args:
        options: Options of the pretraining.

    Returns:
        Path of the safetensors file, half precision.

    Raises:
        NoInputError: A data folder has no instances.json.
        DataError: An image cannot be read.
    """
    keep_freed_memory()
    groups = _read(options.data)
    torch.manual_seed(0)
    detector = CompactDetector(groups[-1].end_class).train().to(memory_format=torch.channels_last)
    detector.backbone.load_state_dict(imagenet_state())
    backbone = FrozenBackbone(detector.backbone, STAGES, torch.bfloat16)
    optimizer = make_optimizer(detector)
    average = MovingAverage(detector)
    checkpoint = options.out / "checkpoint.pt"
    step, seen = _resumed(checkpoint, detector, optimizer, average)
    began, seen_before = time.monotonic(), seen
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(_batch, groups, step)
        while seen < options.images:
            batch, labeled = ahead.result()
            step += 1
            ahead = pool.submit(_batch, groups, step)
            set_learning_rate(optimizer, learning_rate(_LEARNING_RATE, seen / options.images, _WARM_UP))
            loss = _step(detector, backbone, optimizer, batch, labeled)
            average.update(detector)
            seen += len(batch.images)
            if step % _CHECKPOINT_STEPS == 0 or seen >= options.images:
                rate = (seen - seen_before) / (time.monotonic() - began)
                print(
                    json.dumps({"images": seen, "loss": round(loss, 3), "images/s": round(rate, 1)}),
                    flush=True,
                )
                _save(checkpoint, detector, optimizer, average, step, seen)
    rescale(average.detector)
    weights = options.out / "edgeloop-lite0.safetensors"
    state = average.detector.state_dict()
    write_state({key: value for key, value in state.items() if not is_class_layer(key)}, weights)
    return weights


def _step(
    detector: CompactDetector,
    backbone: FrozenBackbone,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    labeled: Tensor,
) -> float:
    loss = batch_losses(detector, backbone, batch, labeled).total
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
    optimizer.step()
    return float(loss.detach())


def _batch(groups: Sequence[_Group], number: int) -> tuple[Batch, Tensor]:
    """Draw a batch: the images, and the classes that are labeled in each, bool (B, classes)."""
    rng = np.random.default_rng((_SEED, number))
    side = int(rng.choice(_SIDES))
    size = max(4, round(_BATCH_AT_320 * (320 / side) ** 2))
    weights = np.array([group.weight * len(group.samples) for group in groups])
    chosen = [groups[index] for index in rng.choice(len(groups), size, p=weights / weights.sum())]
    labeled = torch.zeros(size, groups[-1].end_class, dtype=torch.bool)
    samples = []
    for row, group in enumerate(chosen):
        labeled[row, group.first_class : group.end_class] = True
        samples.append(_augmented(group.samples, Canvas(side, side, side), rng))
    return stacked(samples), labeled


def _augmented(samples: Sequence[Sample], canvas: Canvas, rng: np.random.Generator) -> Sample:
    def draw() -> Sample:
        return samples[int(rng.integers(len(samples)))]

    return augmented(draw(), draw, canvas, _AUGMENTATION, rng)


def _read(folders: Sequence[Folder]) -> list[_Group]:
    groups: list[_Group] = []
    for folder in folders:
        first = groups[-1].end_class if groups else 0
        samples, classes = _read_coco(folder.path, first)
        groups.append(_Group(samples, first, first + classes, folder.weight))
    return groups


def _read_coco(folder: Path, first_class: int) -> tuple[list[Sample], int]:
    """Read a COCO folder; only classes with an object count, numbered from `first_class` on."""
    path = folder / "instances.json"
    if not path.is_file():
        raise NoInputError(f"{path}: no such file; --data names folders with a COCO instances.json")
    coco = json.loads(path.read_text(encoding="utf-8"))
    objects = [each for each in coco["annotations"] if not each.get("iscrowd")]
    used = sorted({each["category_id"] for each in objects})
    numbers = {category: first_class + number for number, category in enumerate(used)}
    samples = []
    for entry in coco["images"]:
        own = [each for each in objects if each["image_id"] == entry["id"]]
        boxes = np.array([each["bbox"] for each in own], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        image = read_image(folder / "images" / entry["file_name"])
        if image is None:
            raise DataError(f"{folder / 'images' / entry['file_name']}: not a readable image")
        class_id = np.array([numbers[each["category_id"]] for each in own], np.int64)
        samples.append(resized(Sample(image, class_id, boxes), _LONGEST_SIDE))
    return samples, len(used)


def _resumed(
    checkpoint: Path, detector: nn.Module, optimizer: torch.optim.Optimizer, average: MovingAverage
) -> tuple[int, int]:
    """Load a checkpoint if there is one; number of steps and images so far."""
    if not checkpoint.is_file():
        return 0, 0
    states = torch.load(checkpoint, weights_only=True)
    detector.load_state_dict(states["detector"])
    optimizer.load_state_dict(states["optimizer"])
    average.detector.load_state_dict(states["average"])
    average.steps = states["step"]
    return states["step"], states["seen"]


def _save(
    checkpoint: Path,
    detector: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage,
    step: int,
    seen: int,
) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    states = {
        "detector": detector.state_dict(), "optimizer": optimizer.state_dict(),
        "average": average.detector.state_dict(), "step": step, "seen": seen,
    }  # fmt: skip
    partial = checkpoint.with_suffix(".partial")
    torch.save(states, partial)
    partial.replace(checkpoint)


def _folder(text: str) -> Folder:
    path, _, weight = text.partition("=")
    return Folder(Path(path), float(weight or 1))


def _main() -> None:
    parser = argparse.ArgumentParser(description="Pretrain start weights for edgeloop-lite0.")
    parser.add_argument(
        "--data",
        type=_folder,
        action="append",
        required=True,
        metavar="FOLDER[=WEIGHT]",
        help="COCO folder; WEIGHT says how often its images are drawn (default: 1).",
    )
    parser.add_argument("--images", type=int, default=50_000, help="Images to see, with repetition.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder to write to.")
    args = parser.parse_args()
    print(pretrain(PretrainOptions(tuple(args.data), args.images, args.out)))


if __name__ == "__main__":
    _main()
