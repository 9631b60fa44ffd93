"""Accuracy by training setting: `python benchmarks/training.py [DATASET] --out OUT --epochs 8`.

Each row changes one setting of `edgeloop train`; dataset and seeds are the same, and the validation part is
scored. With --epochs all rows see the same images, with --time-limit they train for the same time, which is
only fair on an idle machine. Without DATASET they train on the conveyor with its true boxes: 180 frames of
three minutes, and 60 of an hour later for validation.

OUT is reused: a row that is trained already is read, so an interrupted call continues. `--rows 'freeze 0'
'scale 0.5'` trains these rows alone, `--seeds 0 1` each of them twice.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

import cv2
import yaml

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.synth import open_scene
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.train.run_record import RunRecord, read_record
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.export.ultralytics import train_ultralytics
from edgeloop.models.errors import DataError
from report import Table, add_write_option, publish

STEP = 30  # scene frames, at 30 per second
TRAIN = range(0, 180 * STEP, STEP)
VAL = range(108_000, 108_000 + 60 * STEP, STEP)


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: The setting that differs.
        options: Options of `edgeloop train`.
        recipe: Values of the recipe that differ and have no option.
    """

    name: str
    options: TrainOptions
    recipe: Mapping[str, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path, nargs="?", help="Folder with data.yaml. Default: the conveyor.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="Folder for all results.")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--epochs", type=int, help="Epochs of each training.")
    length.add_argument("--time-limit", type=float, help="Seconds of each training.")
    parser.add_argument("--imgsz", type=int, default=320, help="Side of the detector's input, px.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="Random seeds of each row.")
    parser.add_argument("--scene", type=int, default=7, help="Random seed of the conveyor.")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="Rows to train. Default: all.")
    add_write_option(parser, "training")
    arguments = parser.parse_args()
    start = TrainOptions(epochs=arguments.epochs, time_limit_s=arguments.time_limit, imgsz=arguments.imgsz)
    rows = list(_rows(start))
    known = [row.name for row in rows]
    if unknown := set(arguments.rows or ()) - set(known):
        parser.error(f"--rows {', '.join(unknown)}: expected some of {', '.join(known)}")
    dataset = arguments.dataset or _conveyor(arguments.out / f"conveyor-{arguments.scene}", arguments.scene)
    digest = open_dataset(dataset).digest
    length_name = f"{arguments.epochs}-epochs" if arguments.epochs else f"{arguments.time_limit:g}s"
    out = arguments.out / f"{length_name}-{arguments.imgsz}px"
    wanted = [row for row in rows if row.name in (arguments.rows or known)]
    # Seed by seed, so that a machine that slows down slows every row.
    trained = [[_trained(dataset, digest, out, row, seed) for row in wanted] for seed in arguments.seeds]
    cells = [
        (row.name, *_cells(found)) for row, found in zip(wanted, zip(*trained, strict=True), strict=True)
    ]
    header = ("setting", "mAP50", "mAP50-95", "images seen", "images/s", "seconds")
    publish(arguments.write, Table("<>>>>>", header, [cells]))


def _rows(start: TrainOptions) -> Iterator[Row]:
    yield Row("default", start)
    for imgsz in (start.imgsz - 96, start.imgsz + 96):
        yield Row(f"imgsz {imgsz}", replace(start, imgsz=imgsz))
    for mosaic in (0.0, 1.0):
        yield Row(f"mosaic {mosaic:g}", start, {"mosaic": mosaic})
    for scale in sorted({0.1, 0.3, 0.5, 0.7} - {train_ultralytics._RECIPE["scale"]}):
        yield Row(f"scale {scale:g}", start, {"scale": scale})
    yield Row("freeze 0", replace(start, freeze=0))
    for weights in ("imagenet", "none"):
        yield Row(f"weights {weights}", replace(start, weights=weights))
    yield Row("yolo26n", replace(start, model="yolo26n", weights="none"))
    yield Row("yolo26n relu", replace(start, model="yolo26n", weights="none", activation="relu"))
    if start.epochs:
        for epochs in (start.epochs // 2, start.epochs * 2):
            yield Row(f"epochs {epochs}", replace(start, epochs=epochs))


def _trained(dataset: Path, digest: str, out: Path, row: Row, seed: int) -> RunRecord:
    """Train, or read the run that an earlier call trained."""
    run = out / f"seed{seed}" / row.name.replace(" ", "-")
    if (run / "run.json").is_file():
        record = read_record(run)
        if record.dataset_sha256 != digest:
            raise DataError(f"{run}: was trained on another dataset than {dataset}; name another --out")
        return record
    with patch.dict(train_ultralytics._RECIPE, row.recipe):
        return train_detector(dataset, run, replace(row.options, seed=seed))


def _conveyor(folder: Path, seed: int) -> Path:
    """Write frames of the scene with their true boxes, unless the folder is complete."""
    if (folder / "data.yaml").exists():
        return folder
    scene = open_scene("conveyor", seed=seed)
    for split, indices in (("train", TRAIN), ("val", VAL)):
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for index in progress(indices, f"Drawing {split}"):
            cv2.imwrite(str(images / f"{index:06}.jpg"), scene.render(index))
            truth, (width, height) = scene.truth(index), scene.size
            rows = zip(truth.class_id.tolist(), truth.xyxy.tolist(), strict=True)
            lines = (_line(class_id, box, width, height) for class_id, box in rows)
            (labels / f"{index:06}.txt").write_text("\n".join(lines))
    config = {"train": "images/train", "val": "images/val", "names": list(scene.classes)}
    (folder / "data.yaml").write_text(yaml.safe_dump(config))  # last: it marks the folder as complete
    return folder


def _line(class_id: int, box: Sequence[float], width: int, height: int) -> str:
    x1, y1, x2, y2 = box
    shares = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join((str(class_id), *(f"{share:.6f}" for share in shares)))


def _cells(runs: Sequence[RunRecord]) -> Iterator[str]:
    """Format the means over the seeds, and each seed's score."""
    for scores in ([run.map50 or 0.0 for run in runs], [run.map50_95 or 0.0 for run in runs]):
        each = f" ({', '.join(f'{score:.3f}' for score in scores)})" if len(scores) > 1 else ""
        yield f"{statistics.mean(scores):.3f}{each}"
    yield f"{statistics.mean(run.images * len(run.epochs) for run in runs):.0f}"
    yield f"{statistics.mean(run.images_per_second for run in runs):.1f}"
    yield f"{statistics.mean(run.seconds for run in runs):.0f}"


if __name__ == "__main__":
    main()
