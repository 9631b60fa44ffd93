"""Labels of a dataset as COCO ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgeloop.export.data.yolo_dataset import LabeledImage

__all__ = ["coco_truth"]


def coco_truth(
    images: Sequence[LabeledImage], sizes: Sequence[tuple[int, int]], names: Sequence[str]
) -> dict[str, Any]:
    """Convert labels to COCO ground truth; image ids are positions in `images`.

    Args:
        images: Images and labels; those with outlines give `segmentation`, one polygon in px a label.
        sizes: (width, height) of each image in px, in which the labels are given.
        names: Class names by class number.
    """
    return {
        "images": [
            {"id": number, "width": width, "height": height} for number, (width, height) in enumerate(sizes)
        ],
        "annotations": [
            {"image_id": number, **annotation}
            for number, (image, size) in enumerate(zip(images, sizes, strict=True))
            for annotation in _annotations(image, size)
        ],
        "categories": [{"id": class_id, "name": name} for class_id, name in enumerate(names)],
    }


def _annotations(image: LabeledImage, size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    width, height = size
    for row, (x, y, w, h) in enumerate(image.xywh.tolist()):
        annotation = {
            "category_id": int(image.class_id[row]),
            "bbox": [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height],
        }
        if image.outlines is not None:
            annotation["segmentation"] = [(image.outlines[row] * size).ravel().tolist()]
        yield annotation
