"""Settings of a training, chosen from the dataset and the options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.export.learn.augment import Augmentation
from edgeloop.export.train_options import TrainOptions

__all__ = ["Recipe", "choose_recipe"]

_DEFAULT_EPOCHS = 30
_FEW = 20  # images, at most, for the few-shot preset
_FEW_STEPS = 150


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Attributes:
        side: Side of the training image, px.
        batch: Images per step.
        freeze: Number of leading backbone stages that are not trained.
        steps: Number of steps; None to train for a time.
        learning_rate: Highest learning rate.
        warm_up: Share of the training that is warm-up.
        augmentation: Strength of each augmentation.
    """

    side: int
    batch: int
    freeze: int
    steps: int | None
    learning_rate: float
    warm_up: float
    augmentation: Augmentation


def choose_recipe(images: Sequence[LabeledImage], options: TrainOptions) -> Recipe:
    """Choose the settings; options that were given win."""
    few = len(images) <= _FEW
    batch = options.batch
    per_epoch = -(-len(images) // batch)
    epochs = options.epochs or (None if options.time_limit_s else _DEFAULT_EPOCHS)
    return Recipe(
        side=options.imgsz or 320,
        batch=batch,
        freeze=7 if options.freeze is None else options.freeze,
        steps=None if epochs is None else epochs * per_epoch,
        learning_rate=2e-3,
        warm_up=0.1 if few else 0.05,
        augmentation=Augmentation(),
    )
