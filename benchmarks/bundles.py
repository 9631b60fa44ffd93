"""From labels to a proven bundle: `python benchmarks/bundles.py DATASET[=IMGSZ] ... --out OUT`.

For each dataset: `edgeloop train` for --time-limit seconds and `edgeloop export --precision auto`, timed
together; then what the gate measured of each precision, in turns and on the same frames, and the bundle that
left in turns with the same detector in float32 and with yolo26n in float32 with SiLU, as torch's exporter
writes it (random weights: time does not depend on them). Processor time bears a busy machine better
than the clock.

`--model yolo26n --activation relu` measures another detector; `--runs FOLDER` takes runs NAME-run that lie in
FOLDER instead of training.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from activation import ACTIVATIONS, time_ms, write_model

from edge.demo.verbs import call_verb
from edge.session import Session
from edge.table import table

INFERENCES = 5
"""Of each model in each turn."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="+", metavar="DATASET[=IMGSZ]")
    parser.add_argument("--out", type=Path, required=True, help="new folder for everything made")
    parser.add_argument("--time-limit", type=float, default=110, help="of each training, seconds")
    parser.add_argument("--model", default="edgeloop-lite0", help="what `edgeloop train --model` takes")
    parser.add_argument("--activation", choices=ACTIVATIONS)
    parser.add_argument("--runs", type=Path, help="folder of trained runs, NAME-run for each dataset NAME")
    parser.add_argument("--turns", type=int, default=40)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    report = {text: _measure(text, arguments) for text in arguments.datasets}
    (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    _print(report)


def _measure(text: str, arguments: argparse.Namespace) -> dict[str, Any]:
    place, _, imgsz = text.partition("=")
    dataset, size = Path(place), int(imgsz or 320)
    run = (arguments.runs or arguments.out) / f"{dataset.name}-run"
    bundle, in_float = (arguments.out / f"{dataset.name}-{size}{what}.onnx" for what in ("", "-fp32"))
    began = time.monotonic()
    if arguments.runs is None:
        activation = ["--activation", arguments.activation] if arguments.activation else []
        model = ["--model", arguments.model, *activation]
        call_verb("train", dataset, "-o", run, "--imgsz", size, "--time-limit", arguments.time_limit, *model)
    call_verb("export", run, "-d", dataset, "-o", bundle, "--precision", "auto", "--imgsz", size)
    seconds = time.monotonic() - began
    gate = json.loads(bundle.with_suffix(".json").read_text())
    call_verb("export", run, "-d", dataset, "-o", in_float, "--precision", "fp32", "--imgsz", size)
    return {
        "steps": "train, export and gate" if arguments.runs is None else "export and gate",
        "seconds": seconds,
        "over_bundle": _over(bundle, in_float, size, arguments),
        "gate": gate,
    }


def _over(bundle: Path, in_float: Path, size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Median over the turns of others' time over the bundle's, by the clock and of the processor."""
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    paths = {"itself in float32": in_float, "yolo26n with SiLU": write_model(arguments.out, "silu", image)}
    others = {name: Session(path, provider="cpu") for name, path in paths.items()}
    ours = Session(bundle, provider="cpu")
    ratios: dict[str, list[list[float]]] = {name: [[], []] for name in others}
    for turn in range(arguments.turns + 1):
        fast = time_ms(ours, image.numpy(), INFERENCES)
        for name, session in others.items():
            slow = time_ms(session, image.numpy(), INFERENCES)
            for clock in range(2 if turn else 0):  # the first turn warms up
                ratios[name][clock].append(slow[clock] / fast[clock])
    return {
        name: dict(zip(("wall", "processor"), map(statistics.median, clocks), strict=True))
        for name, clocks in ratios.items()
    }


def _print(report: dict[str, dict[str, Any]]) -> None:
    header = ("dataset", "precision", "ms", "fp32 over it", "mAP50-95", "torch's", "boxes repeated", "gate")
    sections = []
    for text, found in report.items():
        gate = found["gate"]
        fp32_ms = gate["precisions"][0]["latency_ms"]
        rows = []
        for each in gate["precisions"]:
            parity, left = each["parity"], each["precision"] == gate["precision"]
            rows.append(
                (
                    text,
                    each["precision"],
                    f"{each['latency_ms']:.1f}",
                    f"{fp32_ms / each['latency_ms']:.2f}",
                    f"{each['map50_95']:.4f}",
                    f"{gate['torch']['map50_95']:.4f}",
                    f"{parity['repeated']} of {parity['boxes']}",
                    "refused" if each["refused"] else "left" if left else "passed",
                )
            )
        sections.append(rows)
    print(table("<<>>>>><", header, *sections))
    for text, found in report.items():
        print(f"{text}: {found['steps']} {found['seconds']:.0f} s")
        for name, ratio in found["over_bundle"].items():
            print(
                f"{text}: {name} takes {ratio['wall']:.2f} times as long as the bundle by the clock, "
                f"{ratio['processor']:.2f} times the processor's time"
            )


if __name__ == "__main__":
    main()
