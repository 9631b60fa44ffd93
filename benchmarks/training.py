"""Our trainer beside ultralytics' on real scenes: `python benchmarks/training.py ../shared/data --out OUT`.

few-shot: boxes on five images of each scene of DATA/scenes and of the street, all others scored. full: the
street and the conveyor for `--time-limit` seconds, a later part scored. Both trainers train edgeloop-lite0
from the same start weights with a frozen backbone, at the side that our preset chooses. `--speed` measures
images/s on the conveyor instead, in alternating rounds.

OUT is reused: a training with a result, OUT/TASK/SCENE/TRAINER-SEED/result.json, is not repeated, so an
interrupted call continues. The tables show every result in OUT.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.scoring.coco import coco_results, evaluate_boxes
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.learn.recipe import choose_recipe
from edgeloop.export.learn.validation import detect
from edgeloop.export.train.load_trained import load_trained
from edgeloop.export.train.run_record import RunRecord, read_record
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from few_shot_scenes import Scene, conveyor, few_shot_scenes, full_scenes
from report import Table, add_write_option, publish
from scoring import Coco

TASKS = ("few-shot", "full")
OURS, REFERENCE = TRAINERS = ("edgeloop", "ultralytics")
DEFAULTS = "ultralytics, its defaults"
_FEW_SHOT_EPOCHS = 150
# Minimum score of a detection. A short full training ends with scores near 0.01: after 18 s at 160 px on the
# conveyor, 0.01 instead of 0.001 cut ultralytics' mAP50 from 0.530 to 0.042, and ours from 0.449 to 0.445.
_CONFIDENCE = {"few-shot": 0.01, "full": 0.001}
_MAX_BOXES = 500
_ROUNDS, _ROUND_S = 5, 15.0
_SPEED_SIDE, _SPEED_BATCH = 320, 8

T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """Result of a training, scored on images that it has not seen.

    Attributes:
        map50: Mean average precision at IoU 0.5, in [0, 1].
        map50_95: The same, mean over IoU 0.5 to 0.95.
        seconds: Duration of the training, s.
        images_per_second: Throughput without reading and validation.
        imgsz: Side of the detector's input, px.
    """

    map50: float
    map50_95: float
    seconds: float
    images_per_second: float
    imgsz: int


Runs = Mapping[str, Mapping[str, Mapping[int, Result]]]
"""Results of a task by scene, trainer and seed."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Folder with scenes/ and street/.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--scenes", nargs="+", metavar="NAME", help="Scenes to train on. Default: all.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="Random seeds.")
    parser.add_argument("--trainers", nargs="+", choices=TRAINERS, default=TRAINERS)
    parser.add_argument("--time-limit", type=float, default=110, help="Seconds of each full training.")
    parser.add_argument("--speed", action="store_true", help="Measure images/s and train nothing else.")
    add_write_option(parser, "training")
    arguments = parser.parse_args()
    if arguments.speed:
        _measure_speed(arguments.out)
    else:
        _train_missing(arguments, parser)
    tables = [training_table(task, runs) for task, runs in read_results(arguments.out).items()]
    speed = arguments.out / "speed.json"
    if speed.is_file():
        tables.append(speed_table(json.loads(speed.read_text())))
    note = (
        "few-shot: five images with boxes, detections from a score of "
        f"{_CONFIDENCE['few-shot']:g} on; full: {arguments.time_limit:g} s of training, from "
        f"{_CONFIDENCE['full']:g} on. mAP50-95 by seed, then means over the seeds. ratio: over that of "
        "ultralytics, in seeds that both have. Last rows: medians over the scenes."
    )
    publish(arguments.write, *tables, note=note)


def _train_missing(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    data, out = arguments.data, arguments.out
    every = {"few-shot": lambda: few_shot_scenes(data), "full": lambda: full_scenes(data, out)}
    scenes = [(task, scene) for task in arguments.tasks for scene in every[task]()]
    known = sorted({scene.name for _, scene in scenes})
    if unknown := set(arguments.scenes or ()) - set(known):
        parser.error(f"--scenes {', '.join(sorted(unknown))}: expected some of {', '.join(known)}")
    # Seed by seed and scene by scene, so that a machine that slows down slows both trainers.
    for seed in arguments.seeds:
        for task, scene in scenes:
            for trainer in arguments.trainers if scene.name in (arguments.scenes or known) else ():
                folder = out / task / scene.name / f"{trainer}-{seed}"
                if not (folder / "result.json").is_file():
                    limit = arguments.time_limit if task == "full" else None
                    _in_new_process(_train_and_score, folder, scene, trainer, seed, limit, _CONFIDENCE[task])


def _in_new_process(function: Callable[..., T], *arguments: object) -> T:
    """Call a function in a process of its own: ultralytics changes settings of the whole process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _train_and_score(
    folder: Path, scene: Scene, trainer: str, seed: int, limit_s: float | None, confidence: float
) -> None:
    # In a few-shot training ultralytics, which needs a validation part, gets the training images again. In a
    # full one, all scored images would take half of the time.
    val = scene.scored[::4] if limit_s else scene.train if trainer == REFERENCE else ()
    dataset = scene.write_dataset(folder / "dataset", val=val)
    options = TrainOptions(seed=seed, time_limit_s=limit_s)
    if trainer == REFERENCE:
        side = choose_recipe(open_dataset(dataset).train, options).side
        options = _for_ultralytics(options, folder / "start.pt", side)
        if limit_s is None:
            options = replace(options, epochs=_FEW_SHOT_EPOCHS, batch=len(scene.train))
    run = folder / "run"
    record = read_record(run) if run.is_dir() else train_detector(dataset, run, options)
    scores = evaluate_boxes(scene.expected, _detect(run, record, scene, confidence), max_boxes=_MAX_BOXES)
    result = Result(
        map50=round(scores.map50, 4),
        map50_95=round(scores.map50_95, 4),
        seconds=record.seconds,
        images_per_second=record.images_per_second,
        imgsz=record.imgsz,
    )
    (folder / "result.json").write_text(json.dumps(asdict(result)) + "\n")


def _for_ultralytics(options: TrainOptions, start: Path, side: int) -> TrainOptions:
    # Imported here because ultralytics is optional, and registers the backbone in this process.
    from lite0_in_ultralytics import write_start

    return replace(options, trainer="ultralytics", model=str(write_start(start)), freeze=1, imgsz=side)


def _detect(run: Path, record: RunRecord, scene: Scene, confidence: float) -> Iterator[Coco]:
    detector, side = load_trained(run, record).module, record.imgsz
    categories = [scene.classes[name] for name in record.names]
    for image in progress(scene.expected["images"], "Scoring"):
        pixels = require_image(scene.images / Path(image["file_name"]).name)
        found = detect(detector, pixels, side, confidence=confidence, max_detections=_MAX_BOXES)
        for row in coco_results(image["id"], found):
            yield {**row, "category_id": categories[row["category_id"]]}


def read_results(out: Path) -> dict[str, Runs]:
    """Read all results in a folder, by task; those of few-shot trainings come first."""
    tasks: dict[str, dict[str, dict[str, dict[int, Result]]]] = {}
    for path in sorted(out.glob("*/*/*-*/result.json")):
        trainer, _, seed = path.parent.name.rpartition("-")
        document = json.loads(path.read_text())
        result = Result(**{field.name: document[field.name] for field in fields(Result)})
        scenes = tasks.setdefault(path.parts[-4], {})
        scenes.setdefault(path.parts[-3], {}).setdefault(trainer, {})[int(seed)] = result
    return dict(tasks)


def training_table(task: str, runs: Runs) -> Table:
    """Build the table of a task: a group per scene, a row per trainer, and the medians at the end."""
    seeds = sorted({seed for trainers in runs.values() for found in trainers.values() for seed in found})
    groups, columns = [], dict[str, list[list[float | None]]]()
    for scene, trainers in runs.items():
        rows = []
        for trainer, found in trainers.items():
            figures = _figures(found, trainers.get(REFERENCE, {}) if trainer != REFERENCE else {}, seeds)
            columns.setdefault(trainer, []).append(figures)
            sides = ", ".join(str(side) for side in sorted({result.imgsz for result in found.values()}))
            rows.append((scene, sides, trainer, *_cells(figures)))
        groups.append(rows)
    medians = []
    for trainer, table in columns.items():
        known = [[value for value in column if value is not None] for column in zip(*table, strict=True)]
        middle = [statistics.median(column) if column else None for column in known]
        medians.append((f"median of {len(table)}", "", trainer, *_cells(middle)))
    header = (
        task, "px", "trainer", *(f"seed {seed}" for seed in seeds),
        "mAP50-95", "ratio", "mAP50", "ratio", "images/s", "seconds",
    )  # fmt: skip
    return Table("<><" + ">" * (len(header) - 3), header, [*groups, medians])


def _figures(
    found: Mapping[int, Result], reference: Mapping[int, Result], seeds: Sequence[int]
) -> list[float | None]:
    """Row of figures; ratios are of the means over the seeds that both trainers have."""

    def mean(runs: Mapping[int, Result], of: str) -> float:
        return float(statistics.mean(getattr(result, of) for result in runs.values()))

    def ratio(of: str) -> float | None:
        both = found.keys() & reference.keys()
        below = mean({seed: reference[seed] for seed in both}, of) if both else 0.0
        return mean({seed: found[seed] for seed in both}, of) / below if below else None

    by_seed = [found[seed].map50_95 if seed in found else None for seed in seeds]
    scores = [mean(found, "map50_95"), ratio("map50_95"), mean(found, "map50"), ratio("map50")]
    return [*by_seed, *scores, mean(found, "images_per_second"), mean(found, "seconds")]


def _cells(figures: Sequence[float | None]) -> Iterator[str]:
    digits = [3] * (len(figures) - 2) + [1, 0]
    for figure, places in zip(figures, digits, strict=True):
        yield "" if figure is None else f"{figure:.{places}f}"


def _measure_speed(out: Path) -> None:
    scene = conveyor(out / "conveyor")
    # Whole batches only, and a short validation, which is not measured.
    scene = replace(scene, train=scene.train[: len(scene.train) // _SPEED_BATCH * _SPEED_BATCH])
    dataset = scene.write_dataset(out / "speed", val=scene.scored[:_SPEED_BATCH])
    rates: dict[str, list[float]] = {name: [] for name in (*TRAINERS, DEFAULTS)}
    for _ in range(_ROUNDS):
        for name, measured in rates.items():
            measured.append(_in_new_process(_round, name, dataset))
    (out / "speed.json").write_text(json.dumps(rates) + "\n")


def _round(name: str, dataset: Path) -> float:
    """Train for one round and return images/s, without reading and validation."""
    with tempfile.TemporaryDirectory() as folder:
        options = TrainOptions(imgsz=_SPEED_SIDE, batch=_SPEED_BATCH, time_limit_s=_ROUND_S)
        if name != OURS:
            options = _for_ultralytics(options, Path(folder) / "start.pt", _SPEED_SIDE)
        if name == DEFAULTS:
            return _default_speed(str(options.model), dataset, folder)
        record = train_detector(dataset, Path(folder) / "run", options)
    return record.images_per_second


def _default_speed(model: str, dataset: Path, folder: str) -> float:
    """Train with ultralytics' own trainer and defaults and return images/s."""
    from ultralytics.models.yolo.detect import DetectionTrainer

    trainer = DetectionTrainer(
        overrides={
            "model": model, "data": str(dataset / "data.yaml"), "imgsz": _SPEED_SIDE, "batch": _SPEED_BATCH,
            "freeze": 1, "time": _ROUND_S / 3600, "device": "cpu", "project": folder, "plots": False,
        }
    )  # fmt: skip
    steps, seconds, last = 0, 0.0, 0.0

    def start_epoch(_trainer: Any) -> None:
        nonlocal last
        last = time.perf_counter()

    def end_step(_trainer: Any) -> None:
        nonlocal steps, seconds, last
        now = time.perf_counter()
        steps, seconds, last = steps + 1, seconds + now - last, now

    trainer.add_callback("on_train_epoch_start", start_epoch)
    trainer.add_callback("on_train_batch_end", end_step)
    trainer.train()
    return steps * _SPEED_BATCH / seconds


def speed_table(rates: Mapping[str, Sequence[float]]) -> Table:
    """Build the table of images/s: a row per trainer, ratios round by round to ultralytics' defaults."""
    rows = []
    for name, measured in rates.items():
        ratio = statistics.median(a / b for a, b in zip(measured, rates[DEFAULTS], strict=True))
        cells = [f"{rate:.1f}" for rate in (*measured, statistics.median(measured))]
        rows.append((name, *cells, f"{ratio:.2f}"))
    rounds = [f"round {number}" for number in range(1, len(rates[DEFAULTS]) + 1)]
    header = ("images/s", *rounds, "median", "ratio")
    return Table("<" + ">" * (len(header) - 1), header, [rows])


if __name__ == "__main__":
    main()
