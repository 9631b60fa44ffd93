"""Students of distillation.py: a detector for each way to learn, same batches, same frozen backbone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import complete_box_iou_loss

from edgeloop.edge.cli.progress import progress_bar
from edgeloop.export.data.image_cache import ImageCache
from edgeloop.export.learn.assign import Targets, assign
from edgeloop.export.learn.batches import batches
from edgeloop.export.learn.detection_loss import detection_loss
from edgeloop.export.learn.optimization import MovingAverage, learning_rate, make_optimizer, set_learning_rate
from edgeloop.export.learn.recipe import Recipe, choose_recipe
from edgeloop.export.network.blocks import folded
from edgeloop.export.network.compact_detector import CompactDetector, Predictions, grid_points
from edgeloop.export.network.device import has_bfloat16
from edgeloop.export.network.frozen_backbone import FrozenBackbone
from edgeloop.export.network.mask_branch import PROTOTYPES
from edgeloop.export.network.start_detector import start_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.labeling.sam.graph_device import open_graph
from edgeloop.models.weights.registry import weights_path
from taught_labels import Lesson, TaughtLabels

PLAIN, WEIGHTED, IGNORE, SOFT, FEATURES, MASKS = TOGETHER = (
    "plain", "weighted", "weighted+ignore", "soft", "features", "masks",
)  # fmt: skip
"""Ways to learn from the same labels, on the same batches."""

SECOND = "second pass"
VARIANTS = (*TOGETHER, SECOND)

_LARGER = 1.5  # side of the second teacher's input, as a multiple of the student's
_BOX_WEIGHT, _SCORE_WEIGHT, _EDGE_WEIGHT = 7.5, 0.5, 1.5  # as in `detection_loss`
_FEATURE_WEIGHT = 2.0
_LARGEST_GRADIENT = 10.0
_NECK_CHANNELS, _NANO_CHANNELS = 128, 128  # at stride 16


class _Student:
    """Detector, optimizer and average of one variant."""

    def __init__(self, variant: str, start: CompactDetector) -> None:
        self.variant = variant
        self.detector = copy.deepcopy(start).train().to(memory_format=torch.channels_last)
        self.average = MovingAverage(self.detector)
        self.optimizer = make_optimizer(self.detector)
        self.project: nn.Conv2d | None = None
        if variant == FEATURES:
            self.project = nn.Conv2d(_NECK_CHANNELS, _NANO_CHANNELS, 1)
            self.optimizer.add_param_group({"params": list(self.project.parameters()), "weight_decay": 0.0})

    def learn(self, features: list[Tensor], lesson: Lesson, nano: Tensor | None, rate: float) -> None:
        """Take one step."""
        set_learning_rate(self.optimizer, rate)
        with torch.autocast("cpu", torch.bfloat16, enabled=features[0].dtype is torch.bfloat16):
            levels = self.detector.neck(features)
            predictions = self.detector.predict(levels)
        shapes = [(level.shape[2], level.shape[3]) for level in levels]
        loss = self._loss(predictions, lesson, shapes)
        if self.project is not None and nano is not None:
            cosine = F.cosine_similarity(self.project(levels[1].float()), nano, dim=1)
            loss = loss + _FEATURE_WEIGHT * (1 - cosine).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.detector.parameters(), _LARGEST_GRADIENT)
        self.optimizer.step()
        self.average.update(self.detector)

    def _loss(self, predictions: Predictions, lesson: Lesson, shapes: list[tuple[int, int]]) -> Tensor:
        if self.variant in (PLAIN, FEATURES, MASKS):
            return detection_loss(predictions, lesson.targets, shapes, masks=lesson.masks).total
        if self.variant == SOFT:
            both = Targets(*(torch.cat(pair) for pair in zip(lesson.targets, lesson.doubted, strict=True)))
            probability = torch.cat((lesson.probability, lesson.doubted_probability))
            return taught_loss(predictions, both, probability, shapes, soft=True)
        doubted = lesson.doubted if self.variant == IGNORE else None
        return taught_loss(predictions, lesson.targets, lesson.probability, shapes, doubted=doubted)


def taught_loss(
    predictions: Predictions,
    targets: Targets,
    probability: Tensor,
    shapes: list[tuple[int, int]],
    *,
    doubted: Targets | None = None,
    soft: bool = False,
) -> Tensor:
    """Compute `detection_loss` with objects that count by their probability.

    Args:
        predictions: As for `detection_loss`.
        targets: As for `detection_loss`, G objects.
        probability: That each object is right, float32 (G,).
        shapes: As for `detection_loss`.
        doubted: Boxes inside which no cell learns that it is background; None for nowhere.
        soft: The probability scales the class score to learn, instead of its error.
    """
    distances, logits = predictions.distances.float(), predictions.logits.float()
    points, strides = grid_points(shapes, distances.device)
    edges = torch.cat((points - distances[..., :2], points + distances[..., 2:]), dim=-1)
    found = assign(targets, edges.detach() * strides, logits.detach().sigmoid(), points * strides, strides)
    weight = probability[found.target]
    counted = found.score * weight
    total = counted.sum().clamp(min=1.0)

    place = found.image, found.cell, targets.class_id[found.target]
    learned, counts = torch.zeros_like(logits), torch.ones_like(logits)
    if doubted is not None:
        center = points * strides
        inside = ((center > doubted.xyxy[:, None, :2]) & (center < doubted.xyxy[:, None, 2:])).all(dim=2)
        box, cell = inside.nonzero(as_tuple=True)
        counts[doubted.image[box], cell] = 0.0
        counts[found.image, found.cell] = 1.0
    learned[place] = counted if soft else found.score
    if not soft:
        counts[place] = weight
    errors = F.binary_cross_entropy_with_logits(logits, learned, reduction="none") * counts
    predicted, true = edges[found.image, found.cell], targets.xyxy[found.target] / strides[found.cell]
    overlap = complete_box_iou_loss(predicted, true)
    edge = (predicted - true).abs().mean(dim=1)
    parts = (
        _SCORE_WEIGHT * errors.sum(),
        _BOX_WEIGHT * (overlap * counted).sum(),
        _EDGE_WEIGHT * (edge * counted).sum(),
    )
    return torch.stack(parts).sum() / total


class _Nano:
    """Encoder of the segmenter that ships."""

    def __init__(self) -> None:
        self._graph = open_graph(weights_path("nano-encoder"), "cpu", weights_beside=True)

    def __call__(self, images: Tensor) -> Tensor:
        """Encode RGB uint8 (B, 3, H, W) to float32 (B, 128, H/16, W/16)."""
        pixels = (images.float().numpy() - np.float32(127)) / np.float32(128)
        rows = [self._graph.run(np.ascontiguousarray(each[None]))[0] for each in pixels]
        return torch.from_numpy(np.concatenate(rows)[:, :_NANO_CHANNELS])


def student_recipe(labels: TaughtLabels, seed: int, steps: int, largest_side: int) -> Recipe:
    """Choose the settings of `edgeloop train` for the sure labels, with a limit of the side."""
    learned = labels.learned
    options = TrainOptions(seed=seed)
    side = min(choose_recipe(learned, options).side, largest_side)
    return replace(choose_recipe(learned, replace(options, imgsz=side)), steps=steps)


def second_teacher(labels: TaughtLabels, recipe: Recipe, seed: int) -> tuple[nn.Module, int]:
    """Train a larger student as the teacher of a second pass.

    Returns:
        The student in evaluation mode, and the side of its input, px.
    """
    side = 32 * round(recipe.side * _LARGER / 32)
    larger = choose_recipe(labels.learned, TrainOptions(seed=seed, imgsz=side))
    teacher = train_students(labels, [PLAIN], replace(larger, steps=recipe.steps), seed)[PLAIN]
    return teacher, side


def train_students(
    labels: TaughtLabels, variants: Sequence[str], recipe: Recipe, seed: int
) -> Mapping[str, nn.Module]:
    """Train one student per variant: the recipe and batches of `edgeloop train`, without a validation.

    Returns:
        Students in evaluation mode, averaged weights, by variant.
    """
    torch.set_num_threads(1)
    start = start_detector(len(labels.names), None, seed=seed)[0]
    dtype = torch.bfloat16 if has_bfloat16(torch.device("cpu")) else torch.float32
    backbone = FrozenBackbone(start.backbone, recipe.freeze, dtype)
    with_masks = start_detector(len(labels.names), None, seed=seed, masks=PROTOTYPES)[0]
    students = [_Student(variant, with_masks if variant == MASKS else start) for variant in variants]
    nano = _Nano() if FEATURES in variants else None
    steps = recipe.steps or 0
    cache = ImageCache(labels.images, recipe.side, None)
    stream = batches(cache, recipe.batch, recipe.canvas, recipe.augmentation, seed=seed)
    with closing(stream), progress_bar(steps, "Training") as advance:
        for step in range(steps):
            batch = next(stream)
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
                features = backbone(batch.images.float() / 255)
            lesson = labels.lesson(batch)
            rate = learning_rate(recipe.learning_rate, step / steps, recipe.warm_up)
            embedding = None if nano is None else nano(batch.images)
            for student in students:
                student.learn(features, lesson, embedding, rate)
            advance(1)
    trained = {student.variant: student.average.detector for student in students}
    for detector in trained.values():
        detector.masks = None  # it has helped to learn; the student answers with boxes as the others do
    return {variant: folded(detector) for variant, detector in trained.items()}
