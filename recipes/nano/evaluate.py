"""Evaluate a segmenter on a COCO folder with masks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as rle

from edgeloop.edge.host.opencv import require_image
from edgeloop.labeling.sam import Segmenter
from edgeloop.models.errors import DataError
from recipes.nano.coco_folder import read_folder

__all__ = ["SegmenterScores", "evaluate_segmenter"]

_LONG_SIDE_PX = 512
_MIN_AREA_PX = 32 * 32  # of an instance, at a long side of 512 px


@dataclass(frozen=True, slots=True)
class SegmenterScores:
    """Mean IoU over instances of at least 32x32 px at a long side of 512 px.

    Attributes:
        instances: Number of instances.
        box_miou: Mean IoU of masks prompted with the true box.
        point_miou: Mean IoU of masks prompted with the deepest pixel, by best predicted IoU.
        filled_box_miou: Mean IoU of masks that fill the true box.
        iou_correlation: Pearson's r between predicted and true IoU, over box and point prompts.
    """

    instances: int
    box_miou: float
    point_miou: float
    filled_box_miou: float
    iou_correlation: float

    def as_dict(self) -> dict[str, float]:
        """Convert to a dict, rounded to four digits."""
        return {k: round(v, 4) for k, v in asdict(self).items()}


def evaluate_segmenter(segmenter: Segmenter, folder: Path, *, limit: int | None = None) -> SegmenterScores:
    """Evaluate a segmenter.

    Args:
        segmenter: The segmenter.
        folder: COCO folder with RLE masks.
        limit: Maximum number of images, taken from the start.

    Raises:
        NoInputError, DataError: The folder cannot be used.
    """
    data = read_folder(folder)
    box_ious, point_ious, filled = [], [], []
    box_predicted: list[float] = []
    point_predicted: list[float] = []
    for path, size, instances in list(zip(data.paths, data.sizes, data.instances, strict=True))[:limit]:
        truth = [np.asarray(rle.decode(instance), dtype=bool) for instance in instances]
        scale = _LONG_SIDE_PX / max(size)
        truth = [mask for mask in truth if mask.sum() * scale**2 >= _MIN_AREA_PX]
        if not truth:
            continue
        segmenter.set_image(require_image(path))
        boxes = np.array([_box(mask) for mask in truth], dtype=np.float32)
        by_box, box_scores = segmenter.masks(boxes=boxes)
        by_point, point_scores = segmenter.masks(
            points=np.array([_deepest(m) for m in truth], dtype=np.float32)
        )
        box_ious += [_iou(a, b) for a, b in zip(by_box, truth, strict=True)]
        point_ious += [_iou(a, b) for a, b in zip(by_point, truth, strict=True)]
        filled += [
            float(m.sum() / ((b[2] - b[0]) * (b[3] - b[1]))) for m, b in zip(truth, boxes, strict=True)
        ]
        box_predicted += box_scores.tolist()
        point_predicted += point_scores.tolist()
    if not box_ious:
        raise DataError(f"{folder}: no instance of at least 32x32 px")
    return SegmenterScores(
        instances=len(box_ious),
        box_miou=float(np.mean(box_ious)),
        point_miou=float(np.mean(point_ious)),
        filled_box_miou=float(np.mean(filled)),
        iou_correlation=float(np.corrcoef(box_predicted + point_predicted, box_ious + point_ious)[0, 1]),
    )


def _box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def _deepest(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Pixel (x, y) farthest from the mask's border."""
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


def _iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))
