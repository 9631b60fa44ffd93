"""Settings of a training, chosen from the images and the options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.export.learn.augment import Augmentation, Canvas
from edgeloop.export.network.lite0_backbone import STAGES
from edgeloop.export.train_options import TrainOptions

__all__ = ["FEW_IMAGES", "Recipe", "choose_recipe"]

_DEFAULT_EPOCHS = 30
FEW_IMAGES = 20
"""Images up to which a training gets the few-shot preset."""

_FEW_STEPS = 150
_LARGEST_SIDE = 640  # of a detector for a device, px
# Smallest side, and the size in the input that a quarter of the objects may be below, px. Many images make a
# detector for a device, few one that labels offline, where accuracy counts more than speed.
_MANY_SIZES, _FEW_SIZES = (320, 32), (416, 40)
_MEASURED_IMAGES = 50  # at most, whose shape and objects are measured


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Attributes:
        side: Side of the detector's input, px.
        canvas: Size of the training images, without the padding that most of them have in the input.
        batch: Images per step.
        freeze: Number of leading backbone stages that are not trained.
        steps: Number of steps; None to train for a time.
        learning_rate: Highest learning rate.
        warm_up: Share of the training that is warm-up.
        augmentation: Strength of each augmentation.
    """

    side: int
    canvas: Canvas
    batch: int
    freeze: int
    steps: int | None
    learning_rate: float
    warm_up: float
    augmentation: Augmentation


def choose_recipe(
    images: Sequence[LabeledImage], options: TrainOptions, *, largest_side: int = _LARGEST_SIDE
) -> Recipe:
    """Choose the settings for training images; options that were given win.

    Up to 20 images get the few-shot preset, a number of steps instead of passes: a pass is a step or two.
    The side follows the objects' sizes; it is above 640 px, up to `largest_side`, only if half of the objects
    need it.
    """
    labeled = [image for image in images if len(image.class_id)]
    measured = labeled[:: -(-len(labeled) // _MEASURED_IMAGES)]
    shapes = [(pixels.shape[1], pixels.shape[0]) for pixels in (image.read() for image in measured)]
    few = len(images) <= FEW_IMAGES
    sizes = _FEW_SIZES if few else _MANY_SIZES
    side = options.imgsz or max(
        _side(measured, shapes, *sizes, share=0.25, largest=_LARGEST_SIDE),
        _side(measured, shapes, *sizes, share=0.5, largest=largest_side),
    )
    batch = min(options.batch, len(images))
    per_pass = -(-len(images) // batch)
    if options.epochs is not None:
        steps: int | None = options.epochs * per_pass
    elif options.time_limit_s is not None:
        steps = None
    else:
        steps = _FEW_STEPS if few else _DEFAULT_EPOCHS * per_pass
    freeze = 0 if options.weights == "none" else STAGES
    return Recipe(
        side=side,
        canvas=_canvas(shapes, side),
        batch=batch,
        freeze=freeze if options.freeze is None else min(options.freeze, STAGES),
        steps=steps,
        learning_rate=2e-3,
        warm_up=0.1 if few else 0.05,
        augmentation=Augmentation(),
    )


def _side(
    images: Sequence[LabeledImage],
    shapes: Sequence[tuple[int, int]],
    smallest: int,
    object_side: int,
    *,
    share: float,
    largest: int,
) -> int:
    """Side at which a share of the objects is smaller than `object_side`, a multiple of 32, px."""
    sizes: list[float] = []
    for image, (width, height) in zip(images, shapes, strict=True):
        areas = (image.xywh[:, 2] * width) * (image.xywh[:, 3] * height)
        sizes += (np.sqrt(areas) / max(width, height)).tolist()
    wanted = object_side / max(float(np.quantile(sizes, share)), 1e-3)
    return int(np.clip(32 * math.ceil(wanted / 32 - 0.25), smallest, largest))


def _canvas(shapes: Sequence[tuple[int, int]], side: int) -> Canvas:
    """Canvas for images of these widths and heights, which all but a tenth of them fit."""
    scaled = [
        (width * side / max(width, height), height * side / max(width, height)) for width, height in shapes
    ]
    width, height = (
        32 * math.ceil(round(float(np.quantile(each, 0.9)), 3) / 32) for each in zip(*scaled, strict=True)
    )
    return Canvas(width, height, side)
