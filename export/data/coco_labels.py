"""Labels of a dataset as COCO ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeloop.export.data.yolo_dataset import LabeledImage

__all__ = ["coco_truth"]


def coco_truth(
    images: Sequence[LabeledImage], sizes: Sequence[tuple[int, int]], names: Sequence[str]
) -> dict[str, Any]:
    """Convert labels to COCO ground truth; image ids are positions in `images`.

    Args:
        images: Images and boxes.
        sizes: (width, height) of each image in px, in which the boxes are given.
        names: Class names by class number.
    """
    return {
        "images": [
            {"id": number, "width": width, "height": height} for number, (width, height) in enumerate(sizes)
        ],
        "annotations": [
            {
                "image_id": number,
                "category_id": class_id,
                "bbox": [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height],
            }
            for number, (image, (width, height)) in enumerate(zip(images, sizes, strict=True))
            for class_id, (x, y, w, h) in zip(image.class_id.tolist(), image.xywh.tolist(), strict=True)
        ],
        "categories": [{"id": class_id, "name": name} for class_id, name in enumerate(names)],
    }
