"""Matrix of targets: `python benchmarks/targets.py RUN DATASET --out OUT --write docs/targets.md`.

Every target is exported in every precision that it takes, by `edgeloop export` as a user calls it. The table
has the figures of the release gate, what `edgeloop verify` and ten frames of `edgeloop run` say of the file,
and, if an engine ran on a processor of this machine, the time of an inference: in alternating turns with
onnxruntime, which runs the same detector in float32. A target whose tools are not installed is a row that
says so.

OUT is reused: a finished export in it is taken, so an interrupted call continues.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from edgeloop.edge.engines.open_engine import ENGINES
from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.runtime.detector import Detector
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.report.report_files import report_files
from edgeloop.export.targets import TARGETS
from edgeloop.models.errors import DataError, EdgeloopError, UnavailableError
from edgeloop.models.facts.facts_path import facts_path
from report import Table, add_write_option, publish

FRAMES = 10
"""Frames of the validation part that `edgeloop run` is given."""

INFERENCES = 10
"""Inferences of each engine in each turn."""

LIMIT_S = 3600
"""Longest export."""

PLUGINS = {"qnn": "onnxruntime-qnn"}
"""Packages of makers beside onnxruntime, by the engine that a placement names, which is the target's name."""

OUTCOMES = {0: "yes", 65: "refused", 69: "not installed"}
"""Outcome of an export by its exit code; any other is a failure."""

HEADER = (
    *("target", "precision", "converted", "ran in", "mAP50-95", "lost", "boxes repeated", "score drift"),
    *("attempts", "ms", "onnxruntime's / its", "MB", "verify", f"run, {FRAMES} frames"),
)


LEGEND = """\
mAP50-95 is that of the file on the held-out frames, and lost what torch has more. Score drift is the largest
difference of a confidence. Attempts are the conversions until one passed the gate. ms is one inference on all
cores of the processor below, and the column beside it the time of onnxruntime in float32 over it, in turns:
above 1 the engine is faster."""


@dataclass(frozen=True)
class Exported:
    """One target in one precision, as `edgeloop export` left it.

    Attributes:
        target: Name of the target.
        precision: Precision that was asked for.
        file: File that was asked for.
        exit_code: Exit code.
        said: Error message; "" if there was none.
    """

    target: str
    precision: str
    file: Path
    exit_code: int
    said: str

    @property
    def report(self) -> Mapping[str, Any] | None:
        """Report of the release gate; None if the export did not reach it."""
        path = report_files(self.file, refused=self.exit_code != 0).document
        return json.loads(path.read_text()) if path.is_file() else None

    @property
    def tools(self) -> Mapping[str, str]:
        """Versions of the maker's tools, by name; empty if the file is made without any."""
        facts, package = facts_path(self.file), PLUGINS.get(self.target)
        if package is not None and self.exit_code == 0:
            return {package: version(package)}
        return json.loads(facts.read_text())["versions"] if facts.is_file() else {}

    @property
    def provider(self) -> str:
        """Value of `--provider` with which the file runs."""
        target = TARGETS[self.target]
        return target.provider if target.suffix == ".onnx" else "auto"

    @property
    def in_its_own(self) -> bool:
        """True if the file was measured in the engine, or a simulator, of the target's maker."""
        target = TARGETS[self.target]
        return bool(target.converter) or target.provider != "cpu" or self.target == "cpu"


@dataclass(frozen=True)
class Opened:
    """A file in its engine.

    Attributes:
        engine: Engine, its version, and the device or simulator.
        latency_ms: Median time of an inference; None in a simulator, and if it does not open here.
        ratio: Median over the turns of onnxruntime's time over this one; None likewise.
    """

    engine: str
    latency_ms: float | None = None
    ratio: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="Folder that `edgeloop train` made.")
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="Dataset that checks and calibrates.")
    parser.add_argument("--out", type=Path, help="Folder for the files.  [default: a temporary one]")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--turns", type=int, default=15, help="More make the medians steadier.")
    add_write_option(parser, "matrix")
    arguments = parser.parse_args()
    with ExitStack() as opened:
        out = arguments.out or Path(opened.enter_context(TemporaryDirectory()))
        out.mkdir(parents=True, exist_ok=True)
        frames = _ten_frames(arguments.dataset, out / "frames")
        baseline = _export(arguments.run, arguments.dataset, out / "onnxruntime.onnx")
        if baseline.exit_code:
            raise SystemExit(f"onnxruntime itself: {baseline.said}")
        notes = list[str]()
        made = [
            list(_export_target(each, arguments.run, arguments.dataset, out)) for each in arguments.targets
        ]
        groups = [
            [_row(one, baseline.file, frames, arguments.turns, notes) for one in group] for group in made
        ]
        note = _note(notes, [one for group in made for one in group])
    publish(arguments.write, Table("<<<<>>>>>>>><<", HEADER, groups), note=note)


def _ten_frames(dataset: Path, folder: Path) -> Path:
    """Copy frames of the validation part to a folder."""
    folder.mkdir(exist_ok=True)
    for image in open_dataset(dataset).val[:FRAMES]:
        shutil.copy(image.path, folder)
    return folder


def _export_target(name: str, run: Path, dataset: Path, out: Path) -> Iterator[Exported]:
    target = TARGETS[name]
    for precision in target.precisions:
        if precision != "auto":
            file = out / f"{name}-{precision}{target.suffix}"
            yield _export(run, dataset, file, name, precision)


def _export(run: Path, dataset: Path, file: Path, target: str = "", precision: str = "fp32") -> Exported:
    """Export, unless the folder of the file holds the end of an earlier export."""
    ended = file.with_name(f"{file.name}.ended")
    if not ended.exists():
        wanted = ["--target", target] if target else []
        arguments = [run, "-d", dataset, "-o", file, "--precision", precision, "--overwrite", *wanted]
        exit_code, _, said = _call("export", *arguments)
        ended.write_text(json.dumps([exit_code, said]))
    return Exported(target, precision, file, *json.loads(ended.read_text()))


def _call(verb: str, *arguments: object) -> tuple[int, str, str]:
    """Run a verb; return its exit code, its stdout and its error message."""
    words = [verb, *map(str, arguments)]
    print("$ edgeloop", *words, file=sys.stderr)
    command = [sys.executable, "-P", "-m", "edgeloop", *words]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return 70, "", f"still running after {LIMIT_S // 60} minutes"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    said = next((line for line in reversed(lines) if "error: " in line.lower()), lines[-1] if lines else "")
    message = "" if done.returncode == 0 else said.removeprefix("edgeloop: error: ")
    return done.returncode, done.stdout.decode(errors="replace"), message


def _row(one: Exported, baseline: Path, frames: Path, turns: int, notes: list[str]) -> tuple[str, ...]:
    head = (one.target, one.precision, OUTCOMES.get(one.exit_code, f"failed ({one.exit_code})"))
    if one.said:
        _tell(notes, one, "", one.said)
    if one.report and (checked := one.report["parity"]["frames"]) < one.report["held_out_frames"]:
        _tell(notes, one, "", f"checked on {checked} of {one.report['held_out_frames']} held-out frames")
    if one.exit_code:
        return (*head, "", *_figures(one.report), "", "", "", "", "")
    opened = _open(one, baseline, frames, turns, notes)
    return (
        *head,
        opened.engine if one.in_its_own else f"{opened.engine}, not its own",
        *_figures(one.report),
        f"{opened.latency_ms:.1f}" if opened.latency_ms and one.in_its_own else "",
        f"{opened.ratio:.2f}" if opened.ratio and one.in_its_own else "",
        f"{one.file.stat().st_size / 1e6:.1f}",
        _verified(one, notes),
        _ran(one, frames, notes),
    )


def _tell(notes: list[str], one: Exported, where: str, said: str) -> None:
    """Note a message, without the folder of this call."""
    notes.append(f"- {one.target} {one.precision}{where}: {said.replace(f'{one.file.parent}/', '')}")


def _figures(report: Mapping[str, Any] | None) -> tuple[str, ...]:
    """mAP50-95, the loss against torch, boxes, drift and attempts; all "" without a report."""
    if report is None:
        return ("",) * 5
    parity = report["parity"]
    return (
        f"{report['map50_95']:.3f}",
        f"{report['torch']['map50_95'] - report['map50_95']:+.4f}",
        f"{parity['repeated']} of {parity['boxes']}",
        f"{parity['confidence_drift']:.3f}",
        str(sum(bool(each["attempt"]) for each in (*report["precisions"], *report.get("failed", []))) or 1),
    )


def _open(one: Exported, baseline: Path, frames: Path, turns: int, notes: list[str]) -> Opened:
    """Open a file in a process of its own, as an engine may crash, and time it."""
    image = min(frames.iterdir())
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            return process.submit(_time, one.file, one.provider, baseline, image, turns).result()
        except UnavailableError:
            # Files for a chip open on its board only; the export ran the model in the simulator of its maker.
            tools = ", ".join(f"{name} {number}" for name, number in one.tools.items())
            return Opened(f"simulator ({tools})")
        except (EdgeloopError, BrokenProcessPool) as error:
            _tell(notes, one, ", opened here", str(error))
            return Opened("does not open here")


def _time(file: Path, provider: str, baseline: Path, picture: Path, turns: int) -> Opened:
    """Open a file and time it in alternating turns with onnxruntime."""
    detector = Detector(file, provider=provider)
    placement = detector.placement
    name = f"{_versioned(placement.engine)} on {placement.provider}"
    if placement.is_simulated:  # says nothing about the time on its chip
        return Opened(name)
    image = read_image(picture)
    if image is None:
        raise DataError(f"{picture}: not a readable image")
    both = [Detector(baseline, provider="cpu"), detector]
    prepared = [each.preprocess(image) for each in both]
    turns_ms = list[list[float]]()
    for _ in range(turns):
        times_ms = []
        for each, one in zip(both, prepared, strict=True):
            each.infer(one)  # warms the caches
            began = time.perf_counter()
            for _ in range(INFERENCES):
                each.infer(one)
            times_ms.append((time.perf_counter() - began) * 1e3 / INFERENCES)
        turns_ms.append(times_ms)
    ratio = median(first / second for first, second in turns_ms)
    return Opened(name, median(second for _, second in turns_ms), ratio)


def _versioned(engine: str) -> str:
    """Name and version of an engine."""
    package = ENGINES[engine].package if engine in ENGINES else engine
    distribution = PLUGINS.get(engine) or packages_distributions().get(package, [package])[0]
    return f"{engine} {version(distribution)}"


def _verified(one: Exported, notes: list[str]) -> str:
    exit_code, stdout, said = _call("verify", one.file, "--provider", one.provider, "--json")
    if exit_code:
        _tell(notes, one, ", verify", said)
    return str(json.loads(stdout)["verdict"]) if stdout.strip() else _ended(exit_code)


def _ran(one: Exported, frames: Path, notes: list[str]) -> str:
    exit_code, stdout, said = _call("run", one.file, frames, "--provider", one.provider, "--json")
    if exit_code:
        _tell(notes, one, ", run", said)
        return _ended(exit_code)
    lines = [json.loads(line) for line in stdout.splitlines()]
    return f"{len(lines)}, {sum(len(each['detections']) for each in lines)} boxes"


def _ended(exit_code: int) -> str:
    return "on the board" if exit_code == UnavailableError.exit_code else f"exit code {exit_code}"


def _note(notes: Sequence[str], made: Sequence[Exported]) -> str:
    tools = {f"{name} {number}" for one in made for name, number in one.tools.items()}
    return "\n\n".join(
        [LEGEND, *([f"Made with {', '.join(sorted(tools))}."] if tools else []), "\n".join(notes)]
    )


if __name__ == "__main__":
    main()
