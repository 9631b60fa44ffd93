"""Tables of the demo: `python benchmarks/demo.py [demo-out/report.json]`.

Runs `edgeloop demo` with its default settings in a temporary folder, or reads the report of an earlier run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from edgeloop.edge.demo.call_verb import call_verb
from report import Table, add_write_option, publish


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path, nargs="?", help="report.json of a demo. Default: run the demo.")
    add_write_option(parser, "demo")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary, "demo")
        if arguments.report is None:
            call_verb("demo", "--out", out)
        report = json.loads((arguments.report or out / "report.json").read_text())
    plan = report["plan"]
    note = f"Seed {plan['seed']}: {plan['frames']} frames, boxes drawn on {plan['exemplar_frames']} of them."
    publish(arguments.write, _scores(report), _run(report), note=note, timed=arguments.report is None)


def _scores(report: dict[str, Any]) -> Table:
    figures = ("map50", "map50_95", "precision", "recall")
    rows = [
        (what, str(report[key]["frames"]), *(f"{report[key][figure]:.3f}" for figure in figures))
        for what, key in (
            ("labels, without the drawn frames", "labels"),
            ("detector, an hour later", "detector"),
        )
    ]
    return Table("<>>>>>", ("", "frames", "mAP50", "mAP50-95", "precision", "recall"), [rows])


def _run(report: dict[str, Any]) -> Table:
    run, parity, seconds = report["run"], report["parity"], report["seconds"]
    latency = run["latency_ms"]
    rows = [
        ("torch's boxes repeated by the bundle", f"{parity['repeated']} of {parity['boxes']}"),
        ("rate of the live run, camera of 60 fps", f"{run['fps']:.1f} fps"),
        ("frames dropped", f"{run['dropped']} of {run['dropped'] + run['frames']}"),
        ("latency p50, p95, p99", ", ".join(f"{latency[p]:.1f}" for p in ("p50", "p95", "p99")) + " ms"),
        *((f"seconds: {stage}", f"{spent:.0f}") for stage, spent in seconds.items()),
    ]
    return Table("<>", ("", "figure"), [rows])


if __name__ == "__main__":
    main()
