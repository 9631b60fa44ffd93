"""Doubt against ground truth: `python benchmarks/doubt.py ../shared/data --out OUT`.

A weak detector learns from five frames of the first third of a film: the street, three fixed cameras of
DATA/scenes, and the conveyor. The last two thirds are scored: does a frame with an error come before one
without, if the frames in most doubt come first? An error is a missed object or a false alarm, at an IoU of
0.5.

AUC is that of the receiver operating characteristic, for frames with more errors than the median frame, as a
weak detector has one in nearly every frame: 0.5 is chance. The other columns are about the 40 frames in most
doubt; of equal values, a random one is expected.

With `--pretrained` the detector is DATA/onnx/yolox_nano.onnx instead, which knows the classes of some of the
films, and has never seen them: it misses what it does not know this way. With `--model` it is a bundle, such
as that of `edgeloop demo` with `--scenes conveyor`.

OUT is reused: a detector that is trained, and what one found, are not made again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.demo.scene_truth import scene_coco
from edgeloop.edge.doubt.near_threshold import uncertainty
from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.synth import open_scene
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph.graph_io import save_graph
from edgeloop.export.graph.to_onnx import model_spec, to_onnx
from edgeloop.export.train.load_trained import load_trained
from edgeloop.export.train.run_record import read_record
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.models.boxes import iou_matrix, xywh_to_xyxy
from edgeloop.models.detections import Detections
from edgeloop.models.facts.metadata_text import read_names
from edgeloop.models.facts.overrides import SpecOverrides
from few_shot_scenes import Scene, choose
from report import Table, add_write_option, publish
from scoring import Coco, part
from street_truth import SCORED, read_truth

TOP, SAME_IOU, CONFIDENCE = 40, 0.5, 0.25
SCENES = ("street", "people_path", "cows_trough", "fish_tank", "conveyor")

PRETRAINED = "yolox_nano"
PRETRAINED_CLASSES = {
    "street": {"car": "car", "truck": "truck", "train": "tram"},
    "people_path": {"person": "person"},
    "cows_trough": {"cow": "cow"},
}
"""By film, the name of each of COCO's classes in the ground truth."""

_CONVEYOR_SEED, _CONVEYOR_FRAMES, _CONVEYOR_STEP = 11, 600, 2


@dataclass(frozen=True, eq=False)
class Film:
    """Footage of a fixed camera with ground truth.

    Attributes:
        name: Its name.
        scene: Its images, and the five to train on.
    """

    name: str
    scene: Scene

    def image(self, position: int) -> NDArray[np.uint8]:
        """Read an image by its position."""
        return require_image(self.scene.images / Path(self.scene.truth["images"][position]["file_name"]).name)

    def true_boxes(self, position: int) -> tuple[NDArray[np.float32], list[str]]:
        """Boxes (N, 4) xyxy and class names of the objects in an image."""
        truth = self.scene.truth
        number = truth["images"][position]["id"]
        names = {each["id"]: each["name"] for each in truth["categories"]}
        own = [each for each in truth["annotations"] if each["image_id"] == number]
        xywh = np.array([each["bbox"] for each in own], np.float32).reshape(-1, 4)
        return xywh_to_xyxy(xywh), [names[each["category_id"]] for each in own]


@dataclass(frozen=True, eq=False)
class Judged:
    """Scored frames of a film.

    Attributes:
        errors: Number of errors in each frame.
        doubts: Doubt about each frame.
    """

    errors: NDArray[np.int64]
    doubts: NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Folder with scenes/ and street/.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="Random seeds.")
    parser.add_argument("--time-limit", type=float, default=40, help="Seconds of each training.")
    parser.add_argument("--pretrained", action="store_true", help="Judge YOLOX-nano and train nothing.")
    parser.add_argument("--model", type=Path, help="Judge this bundle, which has the classes of the films.")
    add_write_option(parser, "doubt")
    arguments = parser.parse_args()
    judged: dict[str, list[Judged]] = {}
    for name in arguments.scenes:
        if arguments.pretrained and name not in PRETRAINED_CLASSES:
            continue
        film = _film(arguments.data, arguments.out, name)
        for seed in arguments.seeds[:1] if arguments.pretrained or arguments.model else arguments.seeds:
            if arguments.model:
                found = _found(film, arguments.out / name / "model", partial(_bundle, arguments.model, film))
            elif arguments.pretrained:
                found = _find_pretrained(film, arguments.data / "onnx", arguments.out / name / PRETRAINED)
            else:
                found = _find_trained(film, arguments.out / name / str(seed), seed, arguments.time_limit)
            judged.setdefault(name, []).append(_judge(film, found))
    seeds = ", ".join(map(str, arguments.seeds))
    weak = f"Detectors of {arguments.time_limit:g} s of training, means over the seeds {seeds}"
    if arguments.pretrained or arguments.model:
        weak = arguments.model.name if arguments.model else "YOLOX-nano"
    publish(arguments.write, _table(judged), note=f"{weak}; scores from {CONFIDENCE:g} on.", timed=False)


def _film(data: Path, out: Path, name: str) -> Film:
    if name == "conveyor":
        images, truth = out / "conveyor-images", _draw_conveyor(out / "conveyor-images")
    elif name == "street":
        whole = read_truth(data / "street")
        images, truth = data / "street" / "images", part(whole, range(len(whole["images"])), SCORED)
    else:
        images = data / "scenes" / name / "images"
        truth = json.loads((images.parent / "instances.json").read_text())
    third = truth["images"][: len(truth["images"]) // 3]
    first = {image["id"] for image in third}
    early = {
        **truth,
        "images": third,
        "annotations": [each for each in truth["annotations"] if each["image_id"] in first],
    }
    return Film(name, Scene(name, images, truth, choose(early), []))


def _draw_conveyor(folder: Path) -> Coco:
    scene = open_scene("conveyor", seed=_CONVEYOR_SEED)
    files = [(f"{index:06}.jpg", index * _CONVEYOR_STEP) for index in range(_CONVEYOR_FRAMES)]
    folder.mkdir(parents=True, exist_ok=True)
    for file, index in progress(files, "Drawing the conveyor"):
        if not (folder / file).is_file():
            cv2.imwrite(str(folder / file), scene.render(index))
    return scene_coco(scene, files)


Find = Callable[[NDArray[np.uint8]], Detections]
"""Detector of an HxWx3 uint8 BGR image; class numbers are those of the film."""


def _find_trained(film: Film, folder: Path, seed: int, limit_s: float) -> list[Detections]:
    run = folder / "run"
    if not (run / "run.json").is_file():
        dataset = film.scene.write_dataset(folder / "dataset", val=())
        train_detector(dataset, run, TrainOptions(seed=seed, time_limit_s=limit_s))
    return _found(film, folder, lambda: _detector(run, folder / "weak.onnx").detect)


def _find_pretrained(film: Film, models: Path, folder: Path) -> list[Detections]:
    numbers = {name: number for number, name in enumerate(film.scene.classes)}
    known = PRETRAINED_CLASSES[film.name]

    def open_detector() -> Find:
        overrides = SpecOverrides(head="yolox", names=read_names(models / "coco_classes.txt"))
        detector = Detector(
            models / f"{PRETRAINED}.onnx", confidence=CONFIDENCE, overrides=overrides, threads=1
        )
        classes = [numbers.get(known.get(name, ""), -1) for name in detector.names]

        def find(image: NDArray[np.uint8]) -> Detections:
            found = detector.detect(image)
            own = replace(found, class_id=np.array(classes, np.int64)[found.class_id])
            return own[own.class_id >= 0]

        return find

    return _found(film, folder, open_detector)


def _bundle(path: Path, film: Film) -> Find:
    detector = Detector(path, provider="cpu", confidence=CONFIDENCE, threads=1)
    numbers = {name: number for number, name in enumerate(film.scene.classes)}
    classes = np.array([numbers[name] for name in detector.names], np.int64)

    def find(image: NDArray[np.uint8]) -> Detections:
        found = detector.detect(image)
        return replace(found, class_id=classes[found.class_id])

    return find


def _found(film: Film, folder: Path, open_detector: Callable[[], Find]) -> list[Detections]:
    path = folder / "found.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([*_find_all(film, open_detector())]))
    return [_detections(rows) for rows in json.loads(path.read_text())]


def _detector(run: Path, path: Path) -> Detector:
    """Open a run as a device does, in an ONNX file without the checks of an export."""
    record = read_record(run)
    model, size = load_trained(run, record), (record.imgsz, record.imgsz)
    spec = model_spec(model, tuple(record.names), size)
    save_graph(to_onnx(model, size, ExportOptions()), spec.to_metadata(), path)
    return Detector(path, provider="cpu", confidence=CONFIDENCE, threads=1)


def _find_all(film: Film, find: Find) -> Iterator[list[Any]]:
    for position in progress(range(len(film.scene.truth["images"])), f"Detecting in {film.name}"):
        found = find(film.image(position))
        yield [found.xyxy.tolist(), found.confidence.tolist(), found.class_id.tolist()]


def _detections(rows: Sequence[Any]) -> Detections:
    boxes, scores, classes = rows
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(xyxy, np.array(scores, np.float32), np.array(classes, np.int64))


def _judge(film: Film, found: Sequence[Detections]) -> Judged:
    names, scored = list(film.scene.classes), range(len(found) // 3, len(found))
    errors = [_errors(found[position], names, *film.true_boxes(position)) for position in scored]
    return Judged(np.array(errors), np.array([uncertainty(found[each], CONFIDENCE) for each in scored]))


def _errors(
    found: Detections, names: Sequence[str], true_boxes: NDArray[np.float32], true_names: Sequence[str]
) -> int:
    """Number of missed objects and false alarms; the most confident box of an object is right."""
    same = iou_matrix(found.xyxy, true_boxes)
    for row, number in enumerate(found.class_id.tolist()):
        same[row, [name != names[number] for name in true_names]] = 0
    matched = 0
    for row in np.argsort(-found.confidence, kind="stable").tolist():
        if len(true_names) and same[row].max() >= SAME_IOU:
            same[:, same[row].argmax()] = 0
            matched += 1
    return len(found) + len(true_names) - 2 * matched


def auc(positive: NDArray[np.bool_], values: NDArray[np.float64]) -> float:
    """Probability that a positive has the higher value of a pair; NaN without both kinds."""
    with_error, without = values[positive][:, None], values[~positive]
    if not with_error.size or not without.size:
        return float("nan")
    return float((with_error > without).mean() + (with_error == without).mean() / 2)


def mean_of_top(figures: NDArray[Any], values: NDArray[np.float64], count: int = TOP) -> float:
    """Mean figure of the frames of the highest values; of equal ones at the end, that of a random choice."""
    count = min(count, len(values))
    lowest = np.sort(values)[-count]
    above, equal = values > lowest, values == lowest
    left = count - int(above.sum())
    return float((figures[above].sum() + left * figures[equal].mean()) / count)


def _table(judged: Mapping[str, Sequence[Judged]]) -> Table:
    figures = {name: np.mean([_figures(each) for each in runs], axis=0) for name, runs in judged.items()}
    rows = [(name, *map(_number, own)) for name, own in figures.items()]
    median = ("median", *map(_number, np.nanmedian(list(figures.values()), axis=0)))
    header = (
        *("", "frames", "AUC", "frames with an error", f"in the top {TOP}"),
        *("errors a frame", f"in the top {TOP}"),
    )
    return Table("<" + ">" * (len(header) - 1), header, [rows, [median]])


def _figures(judged: Judged) -> list[float]:
    errors, doubts = judged.errors, judged.doubts
    return [
        float(len(errors)),
        auc(errors > np.median(errors), doubts),
        float((errors > 0).mean()),
        mean_of_top(errors > 0, doubts),
        float(errors.mean()),
        mean_of_top(errors, doubts),
    ]


def _number(value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.0f}" if value >= 20 else f"{value:.2f}"


if __name__ == "__main__":
    main()
