"""What a detector should start from: `python benchmarks/start_weights.py [DATASET] --out OUT`.

Each row trains for the same time, with the same seeds, on the same images, and is scored on the same held-out
ones. Without DATASET that is the conveyor with its true boxes: 180 frames of its first three minutes, and 60
of an hour later. A row that was finished is not trained again, so an interrupted run goes on where it was.
Equal time is equal only on a machine that does nothing else: rows of a busy one say little.

yolo26n starts from nothing: neither a backbone nor weights of it ship here. A checkpoint of it, if you have
one, is a row of its own (`--checkpoint yolo26n.pt`). Its ReLU variant is a row too, for what that costs.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import yaml

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.cli.table import table
from edgeloop.edge.synth import open_scene
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.train.run_record import RunRecord, read_record
from edgeloop.export.train.train_options import Activation, TrainOptions
from edgeloop.export.train.training import train_detector
from edgeloop.models.errors import DataError

STEP = 30  # frames: one a second
TRAIN = range(0, 180 * STEP, STEP)
VAL = range(108_000, 108_000 + 60 * STEP, STEP)


@dataclass(frozen=True)
class Start:
    """One row of the table."""

    model: str
    weights: str
    activation: Activation | None = None

    @property
    def folder(self) -> str:
        return "-".join((self.model, Path(self.weights).stem, self.activation or "as-is"))


STARTS = (
    Start("edgeloop-lite0", "none"),
    Start("edgeloop-lite0", "imagenet"),
    Start("edgeloop-lite0", "edgeloop-lite0"),
    Start("yolo26n", "none"),
    Start("yolo26n", "none", "relu"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path, nargs="?", help="folder with data.yaml; default: the conveyor")
    parser.add_argument(
        "--out", type=Path, default=Path("start-weights-out"), help="folder for everything made"
    )
    parser.add_argument("--time-limit", type=float, default=120, help="of each training, seconds")
    parser.add_argument("--imgsz", type=int, default=320, help="px")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--scene", type=int, default=7, help="seed of the conveyor")
    parser.add_argument("--checkpoint", help="a .pt of yolo26n to start from, as one more row")
    arguments = parser.parse_args()
    dataset = arguments.dataset or _conveyor(arguments.out / f"conveyor-{arguments.scene}", arguments.scene)
    starts = STARTS + ((Start("yolo26n", arguments.checkpoint),) if arguments.checkpoint else ())
    digest = open_dataset(dataset).digest
    rows: dict[Start, list[RunRecord]] = {start: [] for start in starts}
    # Seed by seed, so that a machine that slows down slows every row.
    for seed in arguments.seeds:
        for start in starts:
            run = arguments.out / f"{arguments.time_limit:g}s-{arguments.imgsz}px-seed{seed}" / start.folder
            rows[start].append(_row(start, seed, dataset, digest, run, arguments))
    _print(rows)
    report = [{"start": vars(start), "runs": [_figures(run) for run in runs]} for start, runs in rows.items()]
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")


def _row(
    start: Start, seed: int, dataset: Path, digest: str, run: Path, arguments: argparse.Namespace
) -> RunRecord:
    """Train, or read what an earlier call trained."""
    if (run / "run.json").is_file():
        record = read_record(run)
        if record.dataset_sha256 != digest:
            raise DataError(f"{run}: was trained on another dataset than {dataset}; name another --out")
        return record
    options = TrainOptions(
        model=start.model,
        weights=start.weights,
        activation=start.activation,
        time_limit_s=arguments.time_limit,
        imgsz=arguments.imgsz,
        seed=seed,
    )
    return train_detector(dataset, run, options)


def _conveyor(folder: Path, seed: int) -> Path:
    """Frames of the scene under their true boxes, in Ultralytics' layout; drawn once."""
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
    (folder / "data.yaml").write_text(yaml.safe_dump(config))  # last: it says that all is there
    return folder


def _line(class_id: int, box: Sequence[float], width: int, height: int) -> str:
    x1, y1, x2, y2 = box
    shares = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join((str(class_id), *(f"{share:.6f}" for share in shares)))


def _figures(run: RunRecord) -> dict[str, float | None]:
    return {
        "seed": run.seed,
        "map50": run.map50,
        "map50_95": run.map50_95,
        "images_seen": run.images * len(run.epochs),
        "images_per_second": run.images_per_second,
        "seconds": run.seconds,
    }


def _print(rows: dict[Start, list[RunRecord]]) -> None:
    header = ("model", "start", "activation", "images seen", "images/s", "mAP50", "mAP50-95")
    cells = [
        (start.model, start.weights, start.activation or "as is", *_cells(runs))
        for start, runs in rows.items()
    ]
    print(table("<<<>>>>", header, cells))


def _cells(runs: Sequence[RunRecord]) -> Iterator[str]:
    """Means over the seeds; of the scores, the range as well."""
    yield f"{statistics.mean(run.images * len(run.epochs) for run in runs):.0f}"
    yield f"{statistics.mean(run.images_per_second for run in runs):.1f}"
    for values in ([run.map50 or 0.0 for run in runs], [run.map50_95 or 0.0 for run in runs]):
        spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
        yield f"{statistics.mean(values):.3f}{spread}"


if __name__ == "__main__":
    main()
