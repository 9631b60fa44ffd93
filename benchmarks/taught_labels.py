"""Labels of distillation.py with their probabilities, and regions in which the teacher is undecided."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.scoring.coco import precision_recall
from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.export.learn.assign import Targets
from edgeloop.export.learn.batches import Batch
from edgeloop.export.learn.mask_targets import MaskTargets
from edgeloop.labeling.label_text import outline_of
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.models.boxes import xyxy_to_xywh
from edgeloop.models.detections import Detections
from scoring import Coco


class Lesson(NamedTuple):
    """Objects and undecided regions of a batch.

    Attributes:
        targets: Objects, G in all.
        probability: That each is right, float32 (G,), in [0, 1].
        doubted: Unsure labels.
        doubted_probability: That each of these is right, float32.
        masks: Masks of the objects; None if they are not known.
    """

    targets: Targets
    probability: Tensor
    doubted: Targets
    doubted_probability: Tensor
    masks: MaskTargets | None


@dataclass(frozen=True, eq=False)
class TaughtLabels:
    """All labels of a dataset, sure and unsure ones.

    `LabeledImage.class_id` of `images` is the row of each label in the tensors below, so that augmentation
    carries them along.

    Attributes:
        names: Class names by class number.
        images: Images with rows instead of class numbers.
        class_id: Class numbers, int64 (N,).
        probability: That a label is right, float32 (N,), in [0, 1].
        sure: False for an unsure label of review.json, bool (N,).
    """

    names: Sequence[str]
    images: Sequence[LabeledImage]
    class_id: Tensor
    probability: Tensor
    sure: Tensor

    @property
    def learned(self) -> list[LabeledImage]:
        """Images as `edgeloop train` reads them: sure labels and their class numbers."""
        result = []
        for image in self.images:
            sure = self.sure.numpy()[image.class_id]
            rows = image.class_id[sure]
            result.append(LabeledImage(image.path, self.class_id.numpy()[rows], image.xywh[sure]))
        return result

    def lesson(self, batch: Batch) -> Lesson:
        """Look up the labels of a batch whose class numbers are rows."""
        targets = batch.targets
        row = targets.class_id
        sure, probability = self.sure[row], self.probability[row]
        known = targets._replace(class_id=self.class_id[row])
        parts = [Targets(*(each[kept] for each in known)) for kept in (sure, ~sure)]
        masks = None if batch.masks is None else _chosen(batch.masks, sure)
        return Lesson(parts[0], probability[sure], parts[1], probability[~sure], masks)


def _chosen(masks: MaskTargets, rows: Tensor) -> MaskTargets:
    """Masks of some objects, bool (G,)."""
    areas = (masks.windows[:, 2:] - masks.windows[:, :2]).prod(dim=1)
    return MaskTargets(masks.windows[rows], masks.covered[rows.repeat_interleave(areas)])


def labeled_again(
    labels: TaughtLabels, answer: Callable[[NDArray[np.uint8]], Detections], drawn: Collection[str]
) -> TaughtLabels:
    """Replace the labels by answers of another teacher: as many per class, the most confident ones.

    Args:
        labels: Labels so far; of these unsure ones are left out.
        answer: Detects objects in an image, HxWx3 uint8 BGR.
        drawn: File names of images whose labels a person drew, which stay.
    """
    class_id = labels.class_id.numpy()
    wanted = Counter[int]()
    candidates: list[tuple[float, int, int, NDArray[np.float32]]] = []  # score, class, image, box
    for place, image in enumerate(labels.images):
        sure = labels.sure.numpy()[image.class_id]
        own = class_id[image.class_id[sure]].tolist()
        if image.path.name in drawn:
            candidates += zip([math.inf] * len(own), own, [place] * len(own), image.xywh[sure], strict=True)
        else:
            pixels = require_image(image.path)
            found = answer(pixels)
            size = np.tile(np.array((pixels.shape[1], pixels.shape[0]), np.float32), 2)
            xywh = xyxy_to_xywh(found.xyxy) / size
            xywh[:, :2] += xywh[:, 2:] / 2
            scores, classes = found.confidence.tolist(), found.class_id.tolist()
            candidates += zip(scores, classes, [place] * len(found), xywh, strict=True)
        wanted.update(own)
    candidates.sort(key=lambda each: -each[0])
    kept: list[tuple[float, int, int, NDArray[np.float32]]] = []
    for row in candidates:
        if wanted[row[1]] > 0:
            wanted[row[1]] -= 1
            kept.append(row)
    images = []
    for place, image in enumerate(labels.images):
        rows = [number for number, row in enumerate(kept) if row[2] == place]
        boxes = np.array([kept[number][3] for number in rows], np.float32).reshape(-1, 4)
        images.append(LabeledImage(image.path, np.array(rows, np.int64), boxes))
    return TaughtLabels(
        labels.names,
        images,
        torch.tensor([row[1] for row in kept]),
        torch.tensor([row[0] for row in kept]).clamp(max=1),
        torch.ones(len(kept), dtype=torch.bool),
    )


def read_labels(dataset: Path) -> TaughtLabels:
    """Read instances.json and review.json of a dataset that `edgeloop label` wrote."""
    coco: Coco = json.loads((dataset / "instances.json").read_text())
    unsure = json.loads((dataset / "review.json").read_text())["unsure"]
    names = [category["name"] for category in coco["categories"]]
    number = {category["id"]: row for row, category in enumerate(coco["categories"])}
    by_file: dict[str, list[_Read]] = defaultdict(list)
    images_by_id = {image["id"]: image for image in coco["images"]}
    for each in coco["annotations"]:
        image = images_by_id[each["image_id"]]
        row = _Read(each["bbox"], number[each["category_id"]], each["score"], True, _outline(each, image))
        by_file[Path(image["file_name"]).name].append(row)
    for each in unsure:
        row = _Read(each["bbox"], names.index(each["maybe"]), each["score"], False, _rectangle(each["bbox"]))
        by_file[each["file"]].append(row)
    images, rows = [], list[_Read]()
    for image in coco["images"]:
        own = by_file[Path(image["file_name"]).name]
        size = np.array((image["width"], image["height"]), np.float32)
        xywh = np.array([row.bbox for row in own], np.float32).reshape(-1, 4)
        xywh[:, :2] += xywh[:, 2:] / 2
        xywh /= np.tile(size, 2)
        places = np.arange(len(rows), len(rows) + len(own), dtype=np.int64)
        outlines = tuple((row.outline / size).astype(np.float32) for row in own)
        images.append(LabeledImage(dataset / image["file_name"], places, xywh, outlines))
        rows += own
    return TaughtLabels(
        names,
        images,
        torch.tensor([row.class_id for row in rows]),
        torch.tensor([row.score for row in rows], dtype=torch.float32).clamp(0, 1),
        torch.tensor([row.sure for row in rows]),
    )


class _Read(NamedTuple):
    """Label as it is in the files; lengths in px."""

    bbox: list[float]
    class_id: int
    score: float
    sure: bool
    outline: NDArray[np.float64]


def _outline(label: Coco, image: Coco) -> NDArray[np.float64]:
    """Outline of the mask of a label within its box; without one there, the box."""
    x, y, w, h = label["bbox"]
    one = Label(
        xyxy=(x, y, x + w, y + h), class_id=0, score=1.0, counts=label["segmentation"]["counts"],
        prompt=label["prompt"], sam_score=1.0,
    )  # fmt: skip
    found = outline_of(one, FrameResult(file="", width=image["width"], height=image["height"]))
    return _rectangle(label["bbox"]) if found is None else found


def _rectangle(bbox: Sequence[float]) -> NDArray[np.float64]:
    x, y, w, h = bbox
    return np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])


def label_quality(dataset: Path, truth: Coco, drawn: Coco) -> dict[str, float]:
    """Score the labels of all images but the exemplars against their ground truth.

    Returns:
        labels, precision, recall, unsure, and the share of the unsure labels that are right.
    """
    coco: Coco = json.loads((dataset / "instances.json").read_text())
    exemplars = {Path(image["file_name"]).name for image in drawn["images"]}
    category = {each["name"]: each["id"] for each in truth["categories"]}
    image_id = {Path(each["file_name"]).name: each["id"] for each in truth["images"]}
    left = [each for each in truth["images"] if Path(each["file_name"]).name not in exemplars]
    kept = {each["id"] for each in left}
    scored = {**truth, "images": left,
              "annotations": [each for each in truth["annotations"] if each["image_id"] in kept]}  # fmt: skip
    names = {each["id"]: each["name"] for each in coco["categories"]}
    files = {image["id"]: Path(image["file_name"]).name for image in coco["images"]}
    sure = [(files[each["image_id"]], names[each["category_id"]], each) for each in coco["annotations"]]
    review = json.loads((dataset / "review.json").read_text())["unsure"]
    unsure = [(each["file"], each["maybe"], each) for each in review]
    both = []
    for labels in (sure, unsure):
        rows = [
            {"image_id": image_id[file], "category_id": category[name],
             "bbox": each["bbox"], "score": each["score"]}
            for file, name, each in labels
            if file not in exemplars
        ]  # fmt: skip
        both.append(precision_recall(scored, rows))
    return {
        "labels": both[0].predicted,
        "precision": both[0].precision,
        "recall": both[0].recall,
        "unsure": both[1].predicted,
        "right": both[1].precision,
    }
