"""A teacher that learns in little time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.export.learn.recipe import Recipe, choose_recipe
from edgeloop.export.train_options import TrainOptions

SIDE = 320  # of the images that it learns from, px; for our scenes it would be 448 or 480


def teach_quickly(patched: pytest.MonkeyPatch, steps: int) -> None:
    """Let two detectors learn so many steps from small images, in place of five that learn 150 to 300."""

    def smaller(images: Sequence[LabeledImage], options: TrainOptions, **settings: Any) -> Recipe:
        return choose_recipe(images, replace(options, imgsz=SIDE), **settings)

    patched.setattr("edgeloop.labeling.engine.members._MAX_STEPS", steps)
    patched.setattr("edgeloop.labeling.engine.members.MEMBERS", 2)
    patched.setattr("edgeloop.labeling.engine.members.choose_recipe", smaller)
