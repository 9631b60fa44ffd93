"""Cost of quiet cameras: `python benchmarks/quiet.py ../shared/data`.

Runs the loop with and without `--skip-unchanged` on fixed cameras, in turn, with decoding, detection and
tracking, on one core. A frame is quiet if for a second around it no object comes or goes, or moves an
edge of its box by more than 5 % of its size: neither one of the ground truth, if there is one, nor one
that is tracked. Recall is that of tracked boxes at an IoU of 0.5: against those of the detector that
looks at every frame, and against the ground truth.

The detector takes cars seen from above for all kinds of things, so every class counts in the car park. It
also takes a window of the corridor for a television, now and then. The street as a whole never has a
quiet moment, so it is also two cameras of a third of its width: the two views with most quiet frames
among those with an object in at least a fifth of them. The first 30 frames, which are always looked at,
do not count.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.frame import Frame
from edgeloop.edge.loop.change_gate import LEARN_FRAMES
from edgeloop.edge.loop.open_stream import open_stream
from edgeloop.edge.loop.pipeline import run_streams
from edgeloop.edge.result import Result
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.sources import as_source, open_source
from edgeloop.edge.tracking.tracker import NO_ID
from edgeloop.models.boxes import clip_boxes, iou_matrix, xywh_to_xyxy
from edgeloop.models.facts.metadata_text import read_names
from edgeloop.models.facts.overrides import SpecOverrides
from report import Table, add_write_option, publish

STREET = ("person", "car", "bus", "truck", "train")
STILL = 0.05
STREET_FPS = 30.0
VIEWS = {"street, upper left": (64, 36, 320, 180), "street, lower right": (512, 288, 768, 432)}
COLUMNS = (
    *("frames", "quiet", "looks, quiet", "looks, busy", "ms", "ms skipping", "saved, quiet", "saved, busy"),
    *("boxes, quiet", "recall lost", "boxes", "recall lost", "true boxes", "recall", "lost"),
)

Boxes = dict[int, NDArray[np.float32]]
"""Boxes of one frame by the id of their object, xyxy in pixels."""


@dataclass(frozen=True)
class Scene:
    """Footage of one fixed camera.

    Attributes:
        name: Name for the table.
        frames: Reads its frames from the start.
        classes: Classes that count; None for all.
        truth: Objects of each frame; None if unknown.
        fps: Frames per second.
    """

    name: str
    frames: Callable[[], Iterator[Frame]]
    classes: Sequence[str] | None
    truth: Sequence[Boxes] | None
    fps: float


@dataclass(frozen=True)
class Run:
    """Tracked boxes, looks and processor time in milliseconds of each frame."""

    boxes: Sequence[Boxes]
    looked: NDArray[np.bool_]
    spent_ms: NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Folder with clips/, street/ and onnx/.")
    parser.add_argument("--repeat", type=int, default=3, help="Runs of each kind; times are their medians.")
    add_write_option(parser, "quiet")
    arguments = parser.parse_args()
    folder: Path = arguments.data
    overrides = SpecOverrides(head="yolox", names=read_names(folder / "onnx/coco_classes.txt"))
    detector = Detector(folder / "onnx/yolox_nano.onnx", overrides=overrides, threads=1)
    cv2.setNumThreads(1)
    scenes = [
        _clip("car park, any class", folder / "clips/car-detection.mp4"),
        _clip("corridor, people", folder / "clips/one-by-one-person-detection.mp4", STREET[:1]),
        _clip("corridor, any class", folder / "clips/one-by-one-person-detection.mp4"),
        *(_street(name, folder / "street", view) for name, view in VIEWS.items()),
        _street("street, whole", folder / "street", (0, 0, 768, 432)),
    ]
    rows = []
    for scene in progress(scenes, "Running"):
        runs = [
            [_run(scene, detector, skip_unchanged=skips) for skips in (False, True)]
            for _ in range(arguments.repeat)
        ]
        full, skipping = (_median([pair[kind] for pair in runs]) for kind in (0, 1))
        rows.append([scene.name, *_figures(scene, full, skipping)])
    note = (
        "looks: share of the frames that the detector saw. ms: processor time of a frame. boxes: tracked by "
        "the detector that looks at every frame. recall: of looking at every frame, against the ground truth."
    )
    publish(arguments.write, Table("<" + ">" * len(COLUMNS), ("camera", *COLUMNS), [rows]), note=note)


def _clip(name: str, path: Path, classes: Sequence[str] | None = None) -> Scene:
    with open_source(str(path)) as source:
        fps = source.fps or 30.0
    return Scene(name, lambda: iter(open_source(str(path))), classes, None, fps)


def _street(name: str, folder: Path, view: tuple[int, int, int, int]) -> Scene:
    x1, y1, x2, y2 = view
    truth = json.loads((folder / "instances.json").read_text())
    images = sorted(truth["images"], key=lambda image: image["file_name"])
    crops = [
        np.ascontiguousarray(cv2.imread(str(folder / "images" / image["file_name"]))[y1:y2, x1:x2])
        for image in images
    ]

    def frames() -> Iterator[Frame]:
        for index, crop in enumerate(crops):
            yield Frame(crop, index, time.monotonic(), time.time(), name, index / STREET_FPS)

    return Scene(name, frames, STREET, _true_boxes(truth, images, view), STREET_FPS)


def _true_boxes(
    truth: dict[str, Any], images: Sequence[dict[str, Any]], view: tuple[int, int, int, int]
) -> list[Boxes]:
    """Objects of each image of which at least half is in the view, in pixels of it."""
    x1, y1, x2, y2 = view
    by_image: defaultdict[int, Boxes] = defaultdict(dict)
    for annotation in truth["annotations"]:
        (whole,) = xywh_to_xyxy(np.array([annotation["bbox"]], np.float32)) - np.array(
            [x1, y1, x1, y1], np.float32
        )
        (box,) = clip_boxes(whole[None], x2 - x1, y2 - y1)
        if np.prod(box[2:] - box[:2]) >= 0.5 * np.prod(whole[2:] - whole[:2]):
            by_image[annotation["image_id"]][annotation["track_id"]] = box
    return [by_image[image["id"]] for image in images]


def _run(scene: Scene, detector: Detector, *, skip_unchanged: bool) -> Run:
    boxes, looked, clock_s = list[Boxes](), list[bool](), [time.process_time()]
    classes = scene.classes or detector.names
    wanted = [number for number, name in enumerate(detector.names) if name in classes]

    def note(result: Result) -> None:
        found = result.detections
        ids = [] if found.tracker_id is None else found.tracker_id.tolist()
        boxes.append({each: box for each, box in zip(ids, found.xyxy, strict=True) if each != NO_ID})
        looked.append(not result.unchanged)
        clock_s.append(time.process_time())

    with as_source(scene.frames()) as source:
        stream = open_stream(source, detector, track=True, skip_unchanged=skip_unchanged)
        stream.select = lambda found: found[np.isin(found.class_id, wanted)]
        stream.on_result = note
        run_streams([stream], detector)
    if stream.error is not None:
        raise stream.error
    return Run(boxes, np.array(looked), np.diff(clock_s) * 1000)


def _median(runs: Sequence[Run]) -> Run:
    return Run(runs[0].boxes, runs[0].looked, np.median([run.spent_ms for run in runs], axis=0))


def _figures(scene: Scene, full: Run, skipping: Run) -> list[str]:
    counted = np.arange(len(full.boxes)) >= LEARN_FRAMES
    quiet = _quiet(full.boxes, scene.fps) & counted
    if scene.truth is not None:
        quiet &= _quiet(scene.truth, scene.fps)
    busy = ~quiet & counted
    saved = [1 - _mean(skipping.spent_ms[part]) / _mean(full.spent_ms[part]) for part in (quiet, busy)]
    quiet_boxes, quiet_recall = _recall(full.boxes, skipping.boxes, quiet)
    all_boxes, all_recall = _recall(full.boxes, skipping.boxes, counted)
    true_figures = ["", "", ""]
    if scene.truth is not None:
        true_boxes, before = _recall(scene.truth, full.boxes, counted)
        after = _recall(scene.truth, skipping.boxes, counted)[1]
        true_figures = [str(true_boxes), _number(before, "{:.3f}"), _number(before - after, "{:.4f}")]
    return [
        str(counted.sum()),
        _number(quiet.sum() / counted.sum(), "{:.0%}"),
        *(_number(_mean(skipping.looked[part]), "{:.0%}") for part in (quiet, busy)),
        *(_number(_mean(run.spent_ms[counted]), "{:.1f}") for run in (full, skipping)),
        *(_number(each, "{:.0%}") for each in saved),
        *(str(quiet_boxes), _number(1 - quiet_recall, "{:.4f}")),
        *(str(all_boxes), _number(1 - all_recall, "{:.4f}")),
        *true_figures,
    ]


def _quiet(objects: Sequence[Boxes], fps: float) -> NDArray[np.bool_]:
    """Frames around which no object comes, goes or moves for a second."""
    second, count = round(fps), len(objects)
    moving = np.zeros(count, bool)
    for index, boxes in enumerate(objects):
        later = objects[min(index + second, count - 1)]
        changed = boxes.keys() ^ later.keys()
        for each in boxes.keys() & later.keys():
            size = (boxes[each][2:] - boxes[each][:2]).max()
            if np.abs(boxes[each] - later[each]).max() > STILL * size:
                changed.add(each)
        moving[index : index + second + 1] |= bool(changed)
    return ~moving


def _recall(expected: Sequence[Boxes], found: Sequence[Boxes], part: NDArray[np.bool_]) -> tuple[int, float]:
    """Number of expected boxes in a part of the frames, and the share of them that was found."""
    hits = total = 0
    for index in np.flatnonzero(part).tolist():
        wanted, there = (np.array([*boxes[index].values()], np.float32) for boxes in (expected, found))
        total += len(wanted)
        if len(wanted) and len(there):
            hits += int((iou_matrix(wanted, there).max(axis=1) >= 0.5).sum())
    return total, hits / total if total else np.nan


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else np.nan


def _number(value: float, form: str) -> str:
    return "" if np.isnan(value) else form.format(value)


if __name__ == "__main__":
    main()
