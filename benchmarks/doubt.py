"""Doubt against ground truth: `python benchmarks/doubt.py ../shared/data --out OUT`.

A weak detector learns from five frames of the first third of a film: the street, three fixed cameras of
DATA/scenes, and the conveyor. The whole film then passes the signs of doubt, and the last two thirds are
scored: does a frame with an error come before one without? An error is a missed object or a false alarm, at
an IoU of 0.5.

AUC is that of the receiver operating characteristic, for frames with more errors than the median frame, as a
weak detector has one in nearly every frame: 0.5 is chance. The other tables are about the 40 frames
of the highest value; of equal values, a random one is expected. "scale" looks twice at every frame; "all"
has no second look, "all, look" one at 5 % of the frames at most, as a device has it.

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
from edgeloop.edge.doubt.frame_doubt import FrameDoubt
from edgeloop.edge.doubt.judged_frame import SIGNS, JudgedFrame
from edgeloop.edge.doubt.scale_disagreement import disagreement
from edgeloop.edge.doubt.second_look import SecondLook, shrunk_look
from edgeloop.edge.frame import Frame
from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.result import Result, Timings
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
FRAMES_PER_S = {"street": 30.0, "people_path": 7.0, "cows_trough": 0.5, "fish_tank": 25.0, "conveyor": 15.0}
"""Rate of the frame numbers. That of people_path is its data set's, that of cows_trough about its clock's;
fish_tank has every fifth frame."""

PRETRAINED = "yolox_nano"
PRETRAINED_CLASSES = {
    "street": {"car": "car", "truck": "truck", "train": "tram"},
    "people_path": {"person": "person"},
    "cows_trough": {"cow": "cow"},
}
"""By film, the name of each of COCO's classes in the ground truth."""

WHOLE = ("all", "all, look")
COLUMNS = (*SIGNS, *WHOLE)
_CONVEYOR_SEED, _CONVEYOR_FRAMES, _CONVEYOR_STEP = 11, 600, 2


@dataclass(frozen=True, eq=False)
class Film:
    """Footage of a fixed camera with ground truth.

    Attributes:
        name: Its name.
        scene: Its images, and the five to train on.
        times_s: Time of each image, s.
    """

    name: str
    scene: Scene
    times_s: Sequence[float]

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
        values: By column, the value of each frame; 0 if the sign is unknown.
        known: By sign, the share of the frames for which it is known.
    """

    errors: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]
    known: Mapping[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Folder with scenes/ and street/.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--scenes", nargs="+", choices=FRAMES_PER_S, default=list(FRAMES_PER_S))
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
                looks = _looks(film, arguments.out / name / "model", partial(_bundle, arguments.model, film))
            elif arguments.pretrained:
                looks = _pretrained_looks(film, arguments.data / "onnx", arguments.out / name / PRETRAINED)
            else:
                looks = _trained_looks(film, arguments.out / name / str(seed), seed, arguments.time_limit)
            judged.setdefault(name, []).append(_judge(film, looks))
    seeds = ", ".join(map(str, arguments.seeds))
    weak = f"Detectors of {arguments.time_limit:g} s of training, means over the seeds {seeds}"
    if arguments.pretrained or arguments.model:
        weak = arguments.model.name if arguments.model else "YOLOX-nano"
    note = (
        f"{weak}; scores from {CONFIDENCE:g} on. Last table: the share of the frames for which a sign is "
        "known; if frames are too far apart in time, it is not, and counts as 0."
    )
    publish(arguments.write, *_tables(judged), note=note, timed=False)


def _film(data: Path, out: Path, name: str) -> Film:
    if name == "conveyor":
        images, truth = out / "conveyor-images", _draw_conveyor(out / "conveyor-images")
    elif name == "street":
        whole = read_truth(data / "street")
        images, truth = data / "street" / "images", part(whole, range(len(whole["images"])), SCORED)
    else:
        images = data / "scenes" / name / "images"
        truth = json.loads((images.parent / "instances.json").read_text())
    numbers = [image.get("frame", image["id"]) for image in truth["images"]]
    first = {image["id"] for image in truth["images"][: len(numbers) // 3]}
    early = {
        **truth,
        "images": truth["images"][: len(numbers) // 3],
        "annotations": [each for each in truth["annotations"] if each["image_id"] in first],
    }
    scene = Scene(name, images, truth, choose(early), [])
    return Film(name, scene, [number / FRAMES_PER_S[name] for number in numbers])


def _draw_conveyor(folder: Path) -> Coco:
    scene = open_scene("conveyor", seed=_CONVEYOR_SEED)
    files = [(f"{index:06}.jpg", index * _CONVEYOR_STEP) for index in range(_CONVEYOR_FRAMES)]
    folder.mkdir(parents=True, exist_ok=True)
    for file, index in progress(files, "Drawing the conveyor"):
        if not (folder / file).is_file():
            cv2.imwrite(str(folder / file), scene.render(index))
    truth = scene_coco(scene, files)
    for position, image in enumerate(truth["images"]):
        image["frame"] = position
    return truth


Looks = list[tuple[Detections, Detections]]
"""Detections in each image, and in the image at another scale; class numbers of the run."""


def _trained_looks(film: Film, folder: Path, seed: int, limit_s: float) -> Looks:
    run = folder / "run"
    if not (run / "run.json").is_file():
        dataset = film.scene.write_dataset(folder / "dataset", val=())
        train_detector(dataset, run, TrainOptions(seed=seed, time_limit_s=limit_s))
    return _looks(film, folder, lambda: _detector(run, folder / "weak.onnx").detect)


def _pretrained_looks(film: Film, models: Path, folder: Path) -> Looks:
    numbers = {name: number for number, name in enumerate(film.scene.classes)}
    known = PRETRAINED_CLASSES[film.name]

    def open_detector() -> SecondLook:
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

    return _looks(film, folder, open_detector)


def _bundle(path: Path, film: Film) -> SecondLook:
    detector = Detector(path, provider="cpu", confidence=CONFIDENCE, threads=1)
    numbers = {name: number for number, name in enumerate(film.scene.classes)}
    classes = np.array([numbers[name] for name in detector.names], np.int64)

    def find(image: NDArray[np.uint8]) -> Detections:
        found = detector.detect(image)
        return replace(found, class_id=classes[found.class_id])

    return find


def _looks(film: Film, folder: Path, open_detector: Callable[[], SecondLook]) -> Looks:
    path = folder / "looks.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([*_find_all(film, open_detector())]))
    return [(_detections(first), _detections(second)) for first, second in json.loads(path.read_text())]


def _detector(run: Path, path: Path) -> Detector:
    """Open a run as a device does, in an ONNX file without the checks of an export."""
    record = read_record(run)
    model, size = load_trained(run, record), (record.imgsz, record.imgsz)
    spec = model_spec(model, tuple(record.names), size)
    save_graph(to_onnx(model, size, ExportOptions()), spec.to_metadata(), path)
    return Detector(path, provider="cpu", confidence=CONFIDENCE, threads=1)


def _find_all(film: Film, find: SecondLook) -> Iterator[list[Any]]:
    again = shrunk_look(find)
    for position in progress(range(len(film.times_s)), f"Detecting in {film.name}"):
        image = film.image(position)
        yield [
            [found.xyxy.tolist(), found.confidence.tolist(), found.class_id.tolist()]
            for found in (find(image), again(image))
        ]


def _detections(rows: Sequence[Any]) -> Detections:
    boxes, scores, classes = rows
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(xyxy, np.array(scores, np.float32), np.array(classes, np.int64))


def _judge(film: Film, looks: Looks) -> Judged:
    names = list(film.scene.classes)
    start = len(looks) // 3
    errors = [_errors(found, names, *film.true_boxes(position)) for position, (found, _) in enumerate(looks)]
    plain, looking = _doubts(film, looks, second=False), _doubts(film, looks, second=True)
    values: dict[str, list[float]] = {column: [] for column in COLUMNS}
    known = dict.fromkeys(SIGNS, 0)
    for without, with_look, (found, other) in list(zip(plain, looking, looks, strict=True))[start:]:
        signs = {**without.doubt.signs, "scale": disagreement(found, other, CONFIDENCE)}
        for sign in SIGNS:
            values[sign].append(signs.get(sign, 0.0))
            known[sign] += sign in signs
        values["all"].append(without.doubt.value)
        values["all, look"].append(with_look.doubt.value)
    count = len(looks) - start
    return Judged(
        np.array(errors[start:]),
        {column: np.array(rows) for column, rows in values.items()},
        {sign: number / count for sign, number in known.items()},
    )


def _doubts(film: Film, looks: Looks, *, second: bool) -> list[JudgedFrame]:
    """Doubt about each image of a film, without or with the second look of a device."""
    other = [Detections.empty()]
    doubt = FrameDoubt(CONFIDENCE, second_look=(lambda _: other[0]) if second else None)
    judged = []
    for position, (found, again) in enumerate(looks):
        frame = Frame(film.image(position), position, 0.0, 0.0, film.name, film.times_s[position])
        judged.append(doubt.add(Result(frame, found, Timings(0.0, {})), film.times_s[position]))
        other[0] = again  # the next call judges this frame
    judged.append(doubt.close())
    return [each for each in judged if each is not None]


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


def _tables(judged: Mapping[str, Sequence[Judged]]) -> list[Table]:
    def auc_of(each: Judged, column: str) -> float:
        return auc(each.errors > np.median(each.errors), each.values[column])

    def share_of(each: Judged, column: str) -> float:
        return mean_of_top(each.errors > 0, each.values[column])

    def count_of(each: Judged, column: str) -> float:
        return mean_of_top(each.errors, each.values[column])

    def known_of(each: Judged, sign: str) -> float:
        return each.known[sign]

    def with_error(each: Judged) -> float:
        return float((each.errors > 0).mean())

    def errors_a_frame(each: Judged) -> float:
        return float(each.errors.mean())

    return [
        _table("AUC", judged, "chance", lambda _: 0.5, auc_of),
        _table(f"frames with an error in top {TOP}", judged, "random", with_error, share_of),
        _table(f"errors a frame in top {TOP}", judged, "random", errors_a_frame, count_of),
        _table("sign is known", judged, "frames", lambda each: len(each.errors), known_of, SIGNS),
    ]


def _table(
    title: str,
    judged: Mapping[str, Sequence[Judged]],
    base: str,
    base_of: Callable[[Judged], float],
    figure_of: Callable[[Judged, str], float],
    columns: Sequence[str] = COLUMNS,
) -> Table:
    rows = []
    figures = []
    for name, runs in judged.items():
        of_scene = [
            float(np.mean([base_of(each) for each in runs])),
            *(float(np.mean([figure_of(each, column) for each in runs])) for column in columns),
        ]
        figures.append(of_scene)
        rows.append((name, *map(_number, of_scene)))
    median = [float(np.nanmedian(column)) for column in zip(*figures, strict=True)]
    header = (title, base, *(column.replace("_", " ") for column in columns))
    return Table("<" + ">" * (len(header) - 1), header, [rows, [("median", *map(_number, median))]])


def _number(value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.0f}" if value >= 20 else f"{value:.2f}"


if __name__ == "__main__":
    main()
