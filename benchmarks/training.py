"""What the training's settings are worth: `python benchmarks/training.py DATASET -o OUT --epochs 8`.

Each row changes one setting of `edgeloop train` and leaves the others, same dataset, same seeds. Rows of the
same epochs see the same images; the seconds say what that cost. Accuracy is the validation part's. What OUT
holds already is not trained again, so an interrupted call goes on. `--rows 'freeze 0' 'scale 0.7'` trains
these alone, and `--seeds 0 1` each of them twice.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

from edgeloop.edge.cli.table import table
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.train import train_run
from edgeloop.export.train.run_record import RunRecord, read_record
from edgeloop.export.train.train_options import TrainOptions
from edgeloop.export.train.training import train_detector
from edgeloop.models.errors import DataError


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: What differs.
        options: All that `edgeloop train` is told.
        recipe: What differs in the part of the recipe that has no options.
    """

    name: str
    options: TrainOptions
    recipe: Mapping[str, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--imgsz", type=int, default=320, help="px")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="default: all")
    arguments = parser.parse_args()
    rows = list(_rows(TrainOptions(epochs=arguments.epochs, imgsz=arguments.imgsz)))
    known = [row.name for row in rows]
    if unknown := set(arguments.rows or ()) - set(known):
        parser.error(f"--rows {', '.join(unknown)}: expected some of {', '.join(known)}")
    out = arguments.out / f"{arguments.epochs}-epochs-{arguments.imgsz}px"
    digest = open_dataset(arguments.dataset).digest
    records = [
        (row.name, [_trained(arguments.dataset, digest, out, row, seed) for seed in arguments.seeds])
        for row in rows
        if row.name in (arguments.rows or known)
    ]
    cells = [(name, *_cells(found)) for name, found in records]
    print(table("<>>>", ("setting", "mAP50", "mAP50-95", "seconds"), cells))


def _rows(start: TrainOptions) -> Iterator[Row]:
    yield Row("as it is", start)
    for imgsz in (start.imgsz - 96, start.imgsz + 96):
        yield Row(f"imgsz {imgsz}", replace(start, imgsz=imgsz))
    for mosaic in (0.0, 1.0):
        yield Row(f"mosaic {mosaic:g}", start, {"mosaic": mosaic})
    for scale in sorted({0.1, 0.3, 0.5, 0.7} - {train_run._RECIPE["scale"]}):
        yield Row(f"scale {scale:g}", start, {"scale": scale})
    yield Row("freeze 0", replace(start, freeze=0))
    yield Row("weights imagenet", replace(start, weights="imagenet"))
    for epochs in ((start.epochs or 2) // 2, (start.epochs or 2) * 2):
        yield Row(f"epochs {epochs}", replace(start, epochs=epochs))


def _trained(dataset: Path, digest: str, out: Path, row: Row, seed: int) -> RunRecord:
    """Train, or read what an earlier call trained."""
    run = out / f"seed{seed}" / row.name.replace(" ", "-")
    if (run / "run.json").is_file():
        record = read_record(run)
        if record.dataset_sha256 != digest:
            raise DataError(f"{run}: was trained on another dataset than {dataset}; name another --out")
        return record
    with patch.dict(train_run._RECIPE, row.recipe):
        return train_detector(dataset, run, replace(row.options, seed=seed))


def _cells(found: Sequence[RunRecord]) -> Iterator[str]:
    """Means over the seeds; of the scores, each one as well."""
    for scores in ([one.map50 or 0.0 for one in found], [one.map50_95 or 0.0 for one in found]):
        each = f" ({', '.join(f'{score:.3f}' for score in scores)})" if len(scores) > 1 else ""
        yield f"{statistics.mean(scores):.3f}{each}"
    yield f"{statistics.mean(one.seconds for one in found):.0f}"


if __name__ == "__main__":
    main()
