"""Validation of a detector in training on held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from edgeloop.edge.scoring.coco import Scores, coco_results, evaluate_boxes
from edgeloop.export.data.coco_labels import coco_truth
from edgeloop.export.data.image_cache import ImageCache
from edgeloop.models.heads import decode
from edgeloop.models.letterbox import Letterbox

__all__ = ["validate"]

_CONFIDENCE, _IOU = 0.001, 0.7


def validate(detector: nn.Module, cache: ImageCache, names: Sequence[str], side: int) -> Scores:
    """Score a detector against the labels of held-out images.

    Args:
        detector: Detector in evaluation mode, float32, output of the head "classic".
        cache: Held-out images, some with an object.
        names: Class names by class number.
        side: Side of the detector's input, px.

    Returns:
        The scores.
    """
    device = next(detector.parameters()).device
    sizes, rows = [], []
    for index in range(len(cache)):
        image = cache.image(index)
        sizes.append((image.shape[1], image.shape[0]))
        fitted = Letterbox.fit(sizes[-1], (side, side))
        pixels = torch.from_numpy(np.ascontiguousarray(fitted.apply(image)[..., ::-1]))
        with torch.inference_mode():
            output = detector(pixels.permute(2, 0, 1)[None].to(device).float() / 255).cpu().numpy()
        found = decode("classic", [output], input_size=(side, side), confidence=_CONFIDENCE, iou=_IOU)
        rows += coco_results(index, replace(found, xyxy=fitted.to_source(found.xyxy)))
    return evaluate_boxes(coco_truth(cache.labeled, sizes, names), rows)
