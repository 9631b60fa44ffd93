"""What labeling is held against: segment-anything's own "everything" mode, on the same weights of nano.

A mask names nothing. So that nobody can say that we named it badly, an oracle names it: a mask is right where
its box overlaps an object of any class that is scored with IoU 0.5 or more, each object once, and naming
takes no time. Of our own labels only those of the right class are right, and naming them takes its time. The
generator runs through torch, because it takes nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from segment_anything import SamAutomaticMaskGenerator

from edgeloop.edge.host.opencv import require_image
from edgeloop.labeling.sam.weights import load_nano
from edgeloop.models.weights.registry import weights_path
from scoring import Coco

EVERYTHING = {"everything-16": 16, "everything-32": 32}
"""Points a side, by name; 32 is the generator's default."""

OBJECT = "object"
_LIMITS = {
    "pred_iou_thresh": 0.45,
    "stability_score_thresh": 0.5,
}  # with its own, nano leaves next to nothing


def segment_everything(frames: Mapping[int, Path], points_per_side: int) -> tuple[list[Coco], float]:
    """Masks of everything.

    Args:
        frames: Images by their number.
        points_per_side: Of the grid that asks.

    Returns:
        Boxes of the masks as `scores` takes them, all of one class; and frames a second.
    """
    model = load_nano(weights_path("nano")).model
    generator = SamAutomaticMaskGenerator(model, points_per_side=points_per_side, **_LIMITS)
    images = {number: require_image(path)[..., ::-1].copy() for number, path in frames.items()}
    generator.generate(next(iter(images.values())))  # the first one pays for what torch does once
    began = time.monotonic()
    masks = [(number, mask) for number, image in images.items() for mask in generator.generate(image)]
    speed = len(frames) / (time.monotonic() - began)
    found = [
        {"image_id": number, "category": OBJECT, "bbox": mask["bbox"], "score": mask["predicted_iou"]}
        for number, mask in masks
    ]
    return found, speed


def without_classes(truth: Coco) -> Coco:
    """A ground truth in which everything is of one class."""
    annotations = [{**annotation, "category_id": 1} for annotation in truth["annotations"]]
    return {**truth, "categories": [{"id": 1, "name": OBJECT}], "annotations": annotations}
