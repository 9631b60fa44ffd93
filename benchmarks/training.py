"""What the training's settings are worth: `python benchmarks/training.py DATASET -o OUT --epochs 8`.

Each row changes one setting of `edgeloop train` and leaves the others, same dataset, same seed. Rows of the
same epochs see the same images; the seconds say what that cost. Accuracy is the validation part's. A row that
OUT holds already is not trained again, so an interrupted call goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from edge.table import table
from export import train as training
from export.record import RunRecord, read_record
from export.train import TrainOptions, train

Rows = Iterator[tuple[str, TrainOptions, Mapping[str, float]]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    start = TrainOptions(epochs=arguments.epochs, imgsz=arguments.imgsz, seed=arguments.seed)
    rows = []
    for name, options, recipe in _rows(start):
        record = _trained(arguments.dataset, arguments.out / name.replace(" ", "-"), options, recipe)
        rows.append((name, f"{record.map50:.3f}", f"{record.map50_95:.3f}", f"{record.seconds:.0f}"))
    print(table("<>>>", ("setting", "mAP50", "mAP50-95", "seconds"), rows))


def _rows(start: TrainOptions) -> Rows:
    yield "as it is", start, {}
    for imgsz in (start.imgsz - 96, start.imgsz + 96):
        yield f"imgsz {imgsz}", replace(start, imgsz=imgsz), {}
    for mosaic in (0.0, 1.0):
        yield f"mosaic {mosaic:g}", start, {"mosaic": mosaic}
    for scale in (0.1, 0.5):
        yield f"scale {scale:g}", start, {"scale": scale}
    yield "freeze 0", replace(start, freeze=0), {}
    yield "weights imagenet", replace(start, weights="imagenet"), {}
    for epochs in ((start.epochs or 2) // 2, (start.epochs or 2) * 2):
        yield f"epochs {epochs}", replace(start, epochs=epochs), {}


def _trained(dataset: Path, run: Path, options: TrainOptions, recipe: Mapping[str, float]) -> RunRecord:
    if (run / "run.json").is_file():
        return read_record(run)
    with patch.dict(training._RECIPE, recipe):
        return train(dataset, run, options)


if __name__ == "__main__":
    main()
