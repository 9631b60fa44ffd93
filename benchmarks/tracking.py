"""Tracking on a real street: `python benchmarks/tracking.py ../shared/data/street [BUNDLE.onnx]`.

Tracks the boxes of the ground truth, and those of a detector if one is named, and scores the ids with HOTA,
IDF1 and CLEAR as `trackers` computes them, which agrees with TrackEval. Boxes of the ground truth are scored
over all classes, those of a detector over all vehicles as one class: people on the sidewalk are not labeled,
and detectors differ over what a truck is. `--from-frame 345` leaves out the frames that benchmarks/street.py
trains on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from trackers.eval import box_iou, compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.tracking.tracker import NO_ID, Method, open_tracker
from edgeloop.models.boxes import xywh_to_xyxy
from edgeloop.models.detections import Detections
from edgeloop.models.facts.metadata_text import read_names
from edgeloop.models.facts.overrides import SpecOverrides
from report import Table, add_write_option, publish

FPS = 30.0
VEHICLES = frozenset({"car", "bus", "truck", "tram", "train"})
COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW", "ids", "true ids", "ms per frame")


@dataclass(frozen=True, eq=False)
class Tracks:
    """Boxes float32 (N, 4) xyxy in pixels and ids int64 (N,) of one frame."""

    boxes: NDArray[np.float32]
    ids: NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("street", type=Path, help="Folder with images/ and instances.json with track_id.")
    parser.add_argument("model", type=Path, nargs="?", help="Detector, an ONNX file.")
    parser.add_argument(
        "--confidence", type=float, help="Minimum score of a detection. Default: the model's."
    )
    parser.add_argument("--head", help="As of `edgeloop run`.")
    parser.add_argument("--names", type=Path, help="As of `edgeloop run`.")
    parser.add_argument("--from-frame", type=int, default=0, help="Leave out the frames before this one.")
    add_write_option(parser, "tracking")
    arguments = parser.parse_args()
    truth = json.loads((arguments.street / "instances.json").read_text())
    images = sorted(truth["images"], key=lambda image: image["file_name"])[arguments.from_frame :]

    true_tracks = _truth(truth, images, None)
    found = [
        Detections(t.boxes, np.ones(len(t.ids), np.float32), np.zeros(len(t.ids), np.int64))
        for t in true_tracks
    ]
    groups = [_compare("ground truth", true_tracks, found, 0.25)]
    if arguments.model:
        overrides = SpecOverrides(
            head=arguments.head, names=read_names(arguments.names) if arguments.names else None
        )
        detector = Detector(arguments.model, confidence=arguments.confidence, overrides=overrides, threads=1)
        found = _detect(detector, [arguments.street / "images" / image["file_name"] for image in images])
        vehicles = _truth(truth, images, VEHICLES)
        groups.append(_compare(arguments.model.name, vehicles, found, detector.spec.confidence))
    publish(arguments.write, Table("<<" + ">" * len(COLUMNS), ("boxes", "method", *COLUMNS), groups))


def _truth(
    truth: dict[str, Any], images: Sequence[dict[str, Any]], names: Iterable[str] | None
) -> list[Tracks]:
    """Collect the objects of each image; `names` None takes all classes."""
    kept = {c["id"] for c in truth["categories"] if names is None or c["name"] in names}
    objects = defaultdict(list)
    for annotation in truth["annotations"]:
        if annotation["category_id"] in kept:
            objects[annotation["image_id"]].append(annotation)
    tracks = []
    for image in images:
        boxes = np.array([o["bbox"] for o in objects[image["id"]]], np.float32).reshape(-1, 4)
        ids = np.array([o["track_id"] for o in objects[image["id"]]], np.int64)
        tracks.append(Tracks(xywh_to_xyxy(boxes), ids))
    return tracks


def _detect(detector: Detector, paths: Sequence[Path]) -> list[Detections]:
    vehicles = [number for number, name in enumerate(detector.names) if name in VEHICLES]
    found = [detector.detect(cv2.imread(str(path))) for path in progress(paths, "Detecting")]
    return [detections[np.isin(detections.class_id, vehicles)] for detections in found]


def _compare(
    boxes: str, truth: Sequence[Tracks], found: Sequence[Detections], confidence: float
) -> list[tuple[str, ...]]:
    """Build one row per tracking method."""
    rows = []
    for method in get_args(Method):
        tracker = open_tracker(fps=FPS, confidence=confidence, method=method)
        started_at = time.perf_counter()
        tracked = [tracker.update(detections, index / FPS) for index, detections in enumerate(found)]
        spent_ms = (time.perf_counter() - started_at) * 1000 / len(found)
        scores = _scores(truth, [_known(detections) for detections in tracked])
        cells = [*scores.values(), spent_ms]
        rows.append((boxes, method, *(f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells)))
    return rows


def _known(detections: Detections) -> Tracks:
    assert detections.tracker_id is not None  # noqa: S101  it comes out of a tracker
    known = detections.tracker_id != NO_ID
    return Tracks(detections.xyxy[known], detections.tracker_id[known])


def _scores(truth: Sequence[Tracks], tracked: Sequence[Tracks]) -> dict[str, float | int]:
    true_ids, ids = [t.ids for t in truth], [t.ids for t in tracked]
    overlaps = [box_iou(a.boxes, b.boxes) for a, b in zip(truth, tracked, strict=True)]
    hota = compute_hota_metrics(true_ids, ids, overlaps)
    clear = compute_clear_metrics(true_ids, ids, overlaps)
    return {
        **{key: float(hota[key]) for key in ("HOTA", "DetA", "AssA")},
        "IDF1": float(compute_identity_metrics(true_ids, ids, overlaps)["IDF1"]),
        "MOTA": float(clear["MOTA"]),
        "IDSW": int(clear["IDSW"]),
        "ids": len(np.unique(np.concatenate(ids))),
        "true ids": len(np.unique(np.concatenate(true_ids))),
    }


if __name__ == "__main__":
    main()
