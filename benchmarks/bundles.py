"""What each precision costs and gains: `python benchmarks/bundles.py STREET=416 CONVEYOR --out OUT`.

For each dataset and each of DETECTORS: `edgeloop train` and `edgeloop export --precision auto`, timed
together, and what the gate found out about each precision. Then the bundle that left runs in turns with the
same detector in float32, and with yolo26n in float32 with SiLU as torch's exporter writes it (random weights:
time does not depend on them), by the clock and in both ways in which `edgeloop run` does: a camera's image on
all cores, and footage's images at the same time, one on each core.

What OUT holds already is not made again: an interrupted call goes on, a trained run that lies there under its
name (street-416-yolo26n-relu) is taken, and a call that finds everything times it, which takes a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from activation import write_model
from numpy.typing import NDArray

from edgeloop.edge.cli.table import table
from edgeloop.edge.demo.call_verb import call_verb
from edgeloop.edge.host.hardware import physical_cores
from edgeloop.edge.runtime.session import Session
from edgeloop.export.export_options import ExportOptions, Precision
from edgeloop.export.exporter import export_bundle

DETECTORS: Mapping[str, tuple[object, ...]] = {
    "edgeloop-lite0": ("--time-limit", 110),
    "yolo26n-relu": ("--model", "yolo26n", "--activation", "relu", "--epochs", 60),
}
"""What `edgeloop train` is told, by the name that files get."""

END_TO_END = {"yolo26n-relu"}
"""Those with a second head, which needs no NMS: they are exported with it as well."""

INFERENCES = 5
"""Of each model in each turn, on each core."""

Times = tuple[float, float]
"""Of an image on all cores, and for each where every core has its own: ms, or multiples of another's."""


@dataclass(frozen=True)
class Exported:
    """A detector with one of its heads.

    Attributes:
        bundle: The fastest that passed the gate.
        in_float: The same in float32.
        gate: The former's report.
        seconds: That training, export and gate took; None where they were not all part of this call.
    """

    bundle: Path
    in_float: Path
    gate: Mapping[str, Any]
    seconds: float | None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="+", metavar="DATASET[=IMGSZ]")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--turns", type=int, default=25)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    by_size: dict[int, list[Exported]] = {}
    for text in arguments.datasets:
        place, _, imgsz = text.partition("=")
        size = int(imgsz or 320)
        for detector in arguments.detectors:
            by_size.setdefault(size, []).extend(_make(Path(place), size, detector, arguments.out))
    # Timed when all is there, so that models of one size meet the machine in the same state.
    ratios = {
        one.bundle: found
        for size, made in by_size.items()
        for one, found in zip(made, _time(made, size, arguments.turns, arguments.out), strict=True)
    }
    _print([one for made in by_size.values() for one in made], ratios)


def _make(dataset: Path, size: int, detector: str, out: Path) -> Iterator[Exported]:
    """Train and export what is not there yet."""
    run = out / f"{dataset.name}-{size}-{detector}"
    bundle, began = out / f"{run.name}.onnx", time.monotonic()
    fresh = not run.exists()
    if fresh:
        call_verb("train", dataset, "-o", run, "--imgsz", size, *DETECTORS[detector])
    if not bundle.exists():
        call_verb("export", run, "-d", dataset, "-o", bundle, "--precision", "auto", "--imgsz", size)
    seconds = time.monotonic() - began if fresh else None
    yield _exported(run, dataset, bundle, ExportOptions(imgsz=size), seconds)
    if detector in END_TO_END:
        bundle = out / f"{run.name}-end2end.onnx"
        yield _exported(run, dataset, bundle, ExportOptions(imgsz=size, end2end=True), None)


def _exported(
    run: Path, dataset: Path, bundle: Path, options: ExportOptions, seconds: float | None
) -> Exported:
    """The fastest bundle and the one in float32, made where they are not there."""
    in_float = bundle.with_stem(f"{bundle.stem}-fp32")
    precisions: dict[Path, Precision] = {bundle: "auto", in_float: "fp32"}
    for path, precision in precisions.items():
        if not path.exists():
            export_bundle(run, dataset, path, replace(options, precision=precision))
    return Exported(bundle, in_float, json.loads(bundle.with_suffix(".json").read_text()), seconds)


def _time(made: Sequence[Exported], size: int, turns: int, out: Path) -> Iterator[tuple[Times, Times]]:
    """For each bundle, the time of itself in float32 and of yolo26n over its own, medians of the turns."""
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    silu = write_model(out, "silu", image)
    paths = [silu, *(path for one in made for path in (one.bundle, one.in_float))]
    cores = physical_cores()
    sessions = {
        path: [Session(path, provider="cpu", threads=threads) for threads in (cores, 1)] for path in paths
    }
    times: dict[Path, list[Times]] = {path: [] for path in paths}
    with ThreadPoolExecutor(cores) as workers:
        for _ in range(turns):
            for path, (on_all, on_one) in sessions.items():
                times[path].append(
                    (
                        _time_ms([on_all], image.numpy(), workers),
                        _time_ms([on_one] * cores, image.numpy(), workers),
                    )
                )
    for one in made:
        yield _ratios(times[one.in_float], times[one.bundle]), _ratios(times[silu], times[one.bundle])


def _time_ms(sessions: Sequence[Session], image: NDArray[np.float32], workers: Executor) -> float:
    """Milliseconds for each image, one at a time in each of these sessions and all of them at once."""
    list(workers.map(lambda session: session.run(image), sessions))  # the model before has taken the caches
    began = time.perf_counter()
    list(workers.map(lambda session: [session.run(image) for _ in range(INFERENCES)], sessions))
    return (time.perf_counter() - began) * 1e3 / (INFERENCES * len(sessions))


def _ratios(some: Sequence[Times], others: Sequence[Times]) -> Times:
    pairs = list(zip(some, others, strict=True))
    alone, together = (statistics.median(one[way] / other[way] for one, other in pairs) for way in (0, 1))
    return alone, together


def _print(made: Sequence[Exported], ratios: Mapping[Path, tuple[Times, Times]]) -> None:
    header = ("detector", "precision", "mAP50-95", "torch's", "repeated", "fp32 over", "SiLU over", "gate")
    sections = [[_row(one, found, ratios[one.bundle]) for found in one.gate["precisions"]] for one in made]
    print(table("<<>>>>><", header, *sections))
    print("fp32 and SiLU over the bundle: time of one image on all cores (with an image on each core)")
    for one in made:
        if one.seconds is not None:
            print(f"{one.bundle.stem}: training, export and gate took {one.seconds:.0f} s")


def _row(one: Exported, found: Mapping[str, Any], ratios: tuple[Times, Times]) -> tuple[str, ...]:
    left = found["precision"] == one.gate["precision"]
    over_fp32, over_silu = (f"{alone:.2f} ({together:.2f})" if left else "" for alone, together in ratios)
    return (
        one.bundle.stem,
        found["precision"],
        f"{found['map50_95']:.4f}",
        f"{one.gate['torch']['map50_95']:.4f}",
        f"{found['parity']['repeated']} of {found['parity']['boxes']}",
        over_fp32,
        over_silu,
        "refused" if found["refused"] else "left" if left else "passed",
    )


if __name__ == "__main__":
    main()
