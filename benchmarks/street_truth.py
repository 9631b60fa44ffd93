"""Ground truth of the street in ../shared/data/street: exemplar, labeled and held-out frames, moving objects.

Exemplars are the boxes of frames 0, 50, 100, 150 and 199, which were fixed without looking at them. Frames 0
to 324 are labeled, those from 345 on held out. Pedestrians on the sidewalk are not in the ground truth, so
pedestrians are neither drawn nor scored.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scoring import Coco, number_of, part

DRAWN = (0, 50, 100, 150, 199)
LABELED = range(325)
UNSEEN_FROM = 345
SCORED = ("car", "truck", "tram")
MOVING = "moving"

_TRAVEL = 0.5  # minimum range of a moving track's center, as a share of the object's size
_NOW_TRAVEL, _NOW_FRAMES = 0.25, 15  # minimum way, as a share of the size, over +-15 frames


def read_truth(street: Path) -> Coco:
    """Read the ground truth, all classes and frames."""
    truth: Coco = json.loads((street / "instances.json").read_text())
    return truth


def copy_frames(street: Path, folder: Path, indices: Iterable[int] = LABELED) -> Path:
    """Copy frames of the street to a new folder."""
    folder.mkdir(parents=True)
    for index in indices:
        shutil.copyfile(street / "images" / f"{index:06d}.jpg", folder / f"{index:06d}.jpg")
    return folder


def write_exemplars(truth: Coco, path: Path) -> Path:
    """Write the boxes of the exemplar frames as COCO json."""
    path.write_text(json.dumps(part(truth, DRAWN, SCORED)))
    return path


def moving_part(truth: Coco, indices: set[int], *, now: bool) -> Coco:
    """Select the boxes of tracks that move, whatever their class, as one class.

    Args:
        truth: Ground truth of `read_truth`.
        indices: Frames to score.
        now: Mark as `iscrowd` boxes that do not move around their frame, so that they do not count.

    Returns:
        COCO ground truth with the class `MOVING`.
    """
    number = {image["id"]: number_of(image) for image in truth["images"]}
    tracks: dict[int, dict[int, NDArray[np.float64]]] = defaultdict(dict)
    for annotation in truth["annotations"]:
        tracks[annotation["track_id"]][number[annotation["image_id"]]] = np.array(annotation["bbox"])
    annotations = [
        {
            "image_id": index,
            "category_id": 1,
            "bbox": box.tolist(),
            "iscrowd": int(now and not _moves_now(track, index)),
        }
        for track in tracks.values()
        if _moves(track)
        for index, box in track.items()
        if index in indices
    ]
    images = [{**i, "id": number_of(i)} for i in truth["images"] if number_of(i) in indices]
    return {"images": images, "categories": [{"id": 1, "name": MOVING}], "annotations": annotations}


def _moves(track: dict[int, NDArray[np.float64]]) -> bool:
    boxes = np.stack(list(track.values()))
    centers = boxes[:, :2] + boxes[:, 2:] / 2
    size = float(np.median(np.sqrt(boxes[:, 2:].prod(axis=1))))
    return bool(np.hypot(*np.ptp(centers, axis=0)) > _TRAVEL * size)


def _moves_now(track: dict[int, NDArray[np.float64]], index: int) -> bool:
    box = track[index]
    before, after = (track.get(index + step, box) for step in (-_NOW_FRAMES, _NOW_FRAMES))
    shift = (after[:2] + after[2:] / 2) - (before[:2] + before[2:] / 2)
    return bool(np.hypot(*shift) > _NOW_TRAVEL * np.sqrt(box[2:].prod()))
