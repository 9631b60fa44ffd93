"""Accuracy and speed of each precision: `python benchmarks/bundles.py STREET=416 CONVEYOR --out OUT`.

For each dataset and each of DETECTORS: `edgeloop train` and `edgeloop export --precision auto`, timed
together, with the report of the release gate on each precision. Then the accepted bundle is timed in
alternating turns with the same detector in float32, and with yolo26n in float32 with SiLU as torch exports it
(random weights, whose speed is that of trained ones): once with one image on all cores, as `edgeloop run`
runs a camera, and once with an image on each core, as it runs footage.

OUT is reused: an interrupted call continues, a finished run in it (street-416-yolo26n-relu) is taken, and a
call that finds everything only times it, which takes a minute.
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
from numpy.typing import NDArray
from ultralytics.nn.modules import Detect

from edgeloop.edge.demo.call_verb import call_verb
from edgeloop.edge.engines.session import Session
from edgeloop.edge.host.hardware import physical_cores
from edgeloop.export.export_options import ExportOptions, Precision
from edgeloop.export.exporter import export_bundle
from edgeloop.export.ultralytics.build_detector import build_detector
from report import Section, Table, add_write_option, publish

DETECTORS: Mapping[str, tuple[object, ...]] = {
    "edgeloop-lite0": ("--time-limit", 110),
    "yolo26n-relu": ("--model", "yolo26n", "--activation", "relu", "--epochs", 60),
}
"""Options of `edgeloop train`, by name of the detector."""

END_TO_END = {"yolo26n-relu"}
"""Detectors that have an end-to-end head (no non-maximum suppression), which is exported too."""

INFERENCES = 5
"""Inferences of each model in each turn, on each core."""

Times = tuple[float, float]
"""Time per image, one on all cores and one on each core: ms, or a ratio."""


@dataclass(frozen=True)
class Exported:
    """Bundles of a detector with one of its heads.

    Attributes:
        bundle: The fastest bundle that passed the gate.
        in_float: The same detector in float32.
        gate: Report of the gate on `bundle`.
        seconds: Duration of training, export and gate; None if this call did not run them all.
    """

    bundle: Path
    in_float: Path
    gate: Mapping[str, Any]
    seconds: float | None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="+", metavar="DATASET[=PX]", help="Default: 320 px.")
    parser.add_argument("--out", type=Path, required=True, help="Folder for all results.")
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--turns", type=int, default=25, help="More make the medians steadier.")
    add_write_option(parser, "bundles")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    by_size: dict[int, list[Exported]] = {}
    for text in arguments.datasets:
        place, _, imgsz = text.partition("=")
        size = int(imgsz or 320)
        for detector in arguments.detectors:
            by_size.setdefault(size, []).extend(_make(Path(place), size, detector, arguments.out))
    # Timed after all exports, so that models of one size see the machine in the same state.
    ratios = {
        one.bundle: found
        for size, made in by_size.items()
        for one, found in zip(made, _time(made, size, arguments.turns, arguments.out), strict=True)
    }
    _publish(arguments.write, [one for made in by_size.values() for one in made], ratios)


def _make(dataset: Path, size: int, detector: str, out: Path) -> Iterator[Exported]:
    """Train and export what OUT does not hold yet."""
    run = out / f"{dataset.name}-{size}-{detector}"
    bundle, started_at = out / f"{run.name}.onnx", time.monotonic()
    missing = not run.exists()
    if missing:
        call_verb("train", dataset, "-o", run, "--imgsz", size, *DETECTORS[detector])
    if not bundle.exists():
        call_verb("export", run, "-d", dataset, "-o", bundle, "--precision", "auto", "--imgsz", size)
    seconds = time.monotonic() - started_at if missing else None
    yield _exported(run, dataset, bundle, ExportOptions(imgsz=size), seconds)
    if detector in END_TO_END:
        bundle = out / f"{run.name}-end2end.onnx"
        yield _exported(run, dataset, bundle, ExportOptions(imgsz=size, end2end=True), None)


def _exported(
    run: Path, dataset: Path, bundle: Path, options: ExportOptions, seconds: float | None
) -> Exported:
    """Export the fastest bundle and the one in float32, unless OUT holds them."""
    in_float = bundle.with_stem(f"{bundle.stem}-fp32")
    precisions: dict[Path, Precision] = {bundle: "auto", in_float: "fp32"}
    for path, precision in precisions.items():
        if not path.exists():
            export_bundle(run, dataset, path, replace(options, precision=precision))
    return Exported(bundle, in_float, json.loads(bundle.with_suffix(".json").read_text()), seconds)


def _time(made: Sequence[Exported], size: int, turns: int, out: Path) -> Iterator[tuple[Times, Times]]:
    """Measure, for each bundle, the time of float32 and of yolo26n with SiLU over its own."""
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    silu = _write_silu_model(out, image)
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


def _write_silu_model(folder: Path, image: torch.Tensor) -> Path:
    """Export yolo26n with random weights for images of one size."""
    names = [str(number) for number in range(80)]
    detector = build_detector("yolo26n", "none", names, seed=0, activation="silu").eval().fuse(verbose=False)
    for module in detector.modules():
        if isinstance(module, Detect):
            module.export, module.format = True, "onnx"
    path = folder / "silu.onnx"
    torch.onnx.export(detector, (image,), path, opset_version=13, dynamo=False)
    return path


def _time_ms(sessions: Sequence[Session], image: NDArray[np.float32], workers: Executor) -> float:
    """Measure milliseconds per image with all sessions at once, each on one image at a time."""
    list(workers.map(lambda session: session.run(image), sessions))  # warms the caches
    started_at = time.perf_counter()
    list(workers.map(lambda session: [session.run(image) for _ in range(INFERENCES)], sessions))
    return (time.perf_counter() - started_at) * 1e3 / (INFERENCES * len(sessions))


def _ratios(some: Sequence[Times], others: Sequence[Times]) -> Times:
    pairs = list(zip(some, others, strict=True))
    alone, together = (statistics.median(one[way] / other[way] for one, other in pairs) for way in (0, 1))
    return alone, together


def _publish(
    section: Section | None, made: Sequence[Exported], ratios: Mapping[Path, tuple[Times, Times]]
) -> None:
    header = ("bundle", "precision", "mAP50-95", "torch's", "boxes repeated", "fp32", "SiLU", "gate")
    groups = [[_row(one, found, ratios[one.bundle]) for found in one.gate["precisions"]] for one in made]
    took = [f"{one.bundle.stem} {one.seconds:.0f} s" for one in made if one.seconds is not None]
    note = "fp32, SiLU: time over that of the bundle, one image on all cores (one on each core)."
    if took:
        note += f" Training, export and gate: {', '.join(took)}."
    publish(section, Table("<<>>>>><", header, groups), note=note)


def _row(one: Exported, found: Mapping[str, Any], ratios: tuple[Times, Times]) -> tuple[str, ...]:
    accepted = found["precision"] == one.gate["precision"]
    over_fp32, over_silu = (f"{alone:.2f} ({together:.2f})" if accepted else "" for alone, together in ratios)
    return (
        one.bundle.stem,
        found["precision"],
        f"{found['map50_95']:.4f}",
        f"{one.gate['torch']['map50_95']:.4f}",
        f"{found['parity']['repeated']} of {found['parity']['boxes']}",
        over_fp32,
        over_silu,
        "refused" if found["refused"] else "accepted" if accepted else "passed",
    )


if __name__ == "__main__":
    main()
