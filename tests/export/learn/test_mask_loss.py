from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgeloop.export.data.image_cache import ImageCache
from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.export.learn.assign import Assignment
from edgeloop.export.learn.augment import Augmentation, Canvas
from edgeloop.export.learn.fit import Task, fit
from edgeloop.export.learn.mask_loss import mask_loss
from edgeloop.export.learn.mask_targets import MaskTargets, draw_outlines
from edgeloop.export.learn.recipe import Recipe
from edgeloop.export.network.start_detector import start_detector

_LEFT = np.array([[8, 8], [40, 8], [40, 40], [8, 40]], np.float32)
_SMALL = np.array([[48, 40], [60, 40], [60, 60], [48, 60]], np.float32)


@pytest.fixture
def masks() -> MaskTargets:
    return draw_outlines([_LEFT, _SMALL], np.array([[8, 8, 40, 40], [48, 40, 60, 60]], np.float32), (64, 64))


def _found(*targets: int) -> Assignment:
    """Cell number n of the image learns target number n of `targets`."""
    count = len(targets)
    image = torch.zeros(count, dtype=torch.long)
    return Assignment(image, torch.arange(count), torch.tensor(targets), torch.ones(count))


def _prototypes() -> torch.Tensor:
    """The big object and the small one at 10, the rest at -10."""
    prototypes = torch.full((1, 2, 16, 16), -10.0)
    prototypes[0, 0, 2:10, 2:10] = 10.0
    prototypes[0, 1, 10:15, 12:15] = 10.0
    return prototypes


def test_masks_that_are_right_cost_nothing(masks: MaskTargets) -> None:
    coefficients = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
    assert mask_loss(coefficients, _prototypes(), _found(0, 1, 0), masks) < 1e-3
    assert mask_loss(-coefficients, _prototypes(), _found(0, 1, 0), masks) > 9


def test_each_mask_counts_the_same_whatever_its_size(masks: MaskTargets) -> None:
    right, wrong = [1.0, 0.0], [-1.0, 0.0]
    big = mask_loss(torch.tensor([[wrong, [0.0, 1.0]]]), _prototypes(), _found(0, 1), masks)
    small = mask_loss(torch.tensor([[right, [0.0, -1.0]]]), _prototypes(), _found(0, 1), masks)
    assert float(big) == pytest.approx(5.0, abs=0.1)
    assert float(small) == pytest.approx(5.0, abs=0.1)


def test_cells_learn_from_their_own_object_alone(masks: MaskTargets) -> None:
    coefficients = torch.zeros(1, 3, 2, requires_grad=True)
    mask_loss(coefficients, _prototypes(), _found(0, 1), masks).backward()
    assert coefficients.grad is not None
    assert coefficients.grad[0, 0, 0] < 0
    assert coefficients.grad[0, 1, 1] < 0
    assert not coefficients.grad[0, 2].any()


def test_more_objects_than_learn_in_a_step_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    outlines = [np.array([[x, 4], [x + 4, 4], [x + 4, 8], [x, 8]], np.float32) for x in range(0, 60, 4)]
    boxes = np.stack([np.concatenate((each.min(axis=0), each.max(axis=0))) for each in outlines])
    masks = draw_outlines(outlines, boxes, (64, 64))
    monkeypatch.setattr("edgeloop.export.learn.mask_loss._OBJECTS_PER_IMAGE", 5)
    coefficients = torch.zeros(1, 15, 2, requires_grad=True)
    mask_loss(coefficients, torch.ones(1, 2, 16, 16), _found(*range(15)), masks).backward()
    assert coefficients.grad is not None
    assert coefficients.grad[0].any(dim=1).nonzero()[:, 0].tolist() == [0, 3, 6, 9, 12]


def test_a_batch_without_objects_has_no_loss(masks: MaskTargets) -> None:
    coefficients = torch.zeros(1, 3, 2, requires_grad=True)
    loss = mask_loss(coefficients, _prototypes(), _found(), masks)
    loss.backward()
    assert loss == 0


@pytest.mark.slow
def test_two_images_are_learned_by_heart(tmp_path: Path) -> None:
    losses, scores = _learned([_picture(tmp_path / f"{seed}.png", seed) for seed in (1, 2)], tmp_path)
    assert losses[-1] < 0.15 * losses[0]
    assert scores["mask_map50_95"] > 0.6


def _picture(path: Path, seed: int) -> LabeledImage:
    """A disk and a triangle on gray."""
    rng = np.random.default_rng(seed)
    image = np.full((96, 96, 3), 110, np.uint8)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    disk = rng.uniform(24, 28, 2) + 18 * np.stack((np.cos(angle), np.sin(angle)), axis=1)
    triangle = rng.uniform(0, 6, 2) + np.array([[50, 84], [84, 84], [67, 46]])
    for outline, color in ((disk, (40, 40, 220)), (triangle, (220, 120, 30))):
        cv2.fillPoly(image, [outline.round().astype(np.int32)], color)
    cv2.imwrite(str(path), image)
    outlines = tuple((each / 96).astype(np.float32) for each in (disk, triangle))
    low, high = (np.array([getattr(each, end)(axis=0) for each in outlines]) for end in ("min", "max"))
    xywh = np.concatenate(((low + high) / 2, high - low), axis=1).astype(np.float32)
    return LabeledImage(path, np.array([0, 1]), xywh, outlines)


def _learned(images: list[LabeledImage], folder: Path) -> tuple[list[float], Mapping[str, float]]:
    """Mask loss of each of 60 steps, and the scores in the end, on the same images."""
    still = Augmentation(mosaic=0, scale=0, shift=0, mirror=0, hue=0, saturation=0, brightness=0)
    recipe = Recipe(
        side=96, canvas=Canvas(96, 96, 96), batch=2, freeze=7, steps=60, learning_rate=5e-3, warm_up=0.1,
        augmentation=still,
    )  # fmt: skip
    cache = ImageCache(images, 96, None)
    task = Task(
        train=cache, val=cache, names=("disk", "triangle"), recipe=recipe, seed=5, patience=None,
        seconds=None, folder=folder,
    )  # fmt: skip
    losses: list[float] = []
    detector = start_detector(task.names, None, seed=0, masks=16)[0]
    _, progress = fit(detector, task, lambda step: losses.append(step.loss["mask"]))
    return losses, progress.best_scores
