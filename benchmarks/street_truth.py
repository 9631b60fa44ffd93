"""The street of ../shared/data/street: frames that are drawn on, labelled and kept back, and what moves.

The person draws the boxes of frames 0, 50, 100, 150 and 199: a fixed rule, spread over the first 200 frames,
chosen without a look at what is on them. Frames up to 324 are labelled, those from 345 on are seen by nobody.
Pedestrians on the sidewalk are not in the ground truth, so pedestrians are neither drawn nor scored.
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
LABELLED = range(325)
UNSEEN_FROM = 345
SCORED = ("car", "truck", "tram")
MOVING = "moving"

_TRAVEL = 0.5  # of its size: how far the centre of a track's box goes in its life if it moves
_NOW_TRAVEL, _NOW_FRAMES = 0.25, 15  # of its size, within so many frames before and after


def read_truth(street: Path) -> Coco:
    """The ground truth, all classes and frames."""
    truth: Coco = json.loads((street / "instances.json").read_text())
    return truth


def copy_frames(street: Path, folder: Path, indices: Iterable[int] = LABELLED) -> Path:
    """Frames of the street in a folder of their own."""
    folder.mkdir(parents=True)
    for index in indices:
        shutil.copyfile(street / "images" / f"{index:06d}.jpg", folder / f"{index:06d}.jpg")
    return folder


def write_exemplars(truth: Coco, path: Path) -> Path:
    """The boxes that the person draws."""
    path.write_text(json.dumps(part(truth, DRAWN, SCORED)))
    return path


def moving_part(truth: Coco, indices: set[int], *, now: bool) -> Coco:
    """The boxes of tracks that move, whatever their class, as one class.

    Args:
        truth: As `read_truth` gives it.
        indices: Frames to score.
        now: Leave out, as `iscrowd`, boxes that stand still around their frame.

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
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    size = float(np.median(np.sqrt(boxes[:, 2:].prod(axis=1))))
    return bool(np.hypot(*np.ptp(centres, axis=0)) > _TRAVEL * size)


def _moves_now(track: dict[int, NDArray[np.float64]], index: int) -> bool:
    box = track[index]
    before, after = (track.get(index + step, box) for step in (-_NOW_FRAMES, _NOW_FRAMES))
    way = (after[:2] + after[2:] / 2) - (before[:2] + before[2:] / 2)
    return bool(np.hypot(*way) > _NOW_TRAVEL * np.sqrt(box[2:].prod()))
