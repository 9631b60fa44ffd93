"""From labels to a proven bundle: `python benchmarks/bundles.py DATASET[=IMGSZ] ... --out OUT`.

For each dataset: `edgeloop train` for --time-limit seconds and `edgeloop export --precision auto`, timed
together; then what the gate measured of each precision, in turns and on the same frames, and the bundle that
left in turns with yolo26n in float32 with SiLU (random weights: time does not depend on them).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from activation import time_ms, write_model

from edge.demo.verbs import call_verb
from edge.detector import Detector
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
    parser.add_argument("--turns", type=int, default=40)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    report = {text: _measure(text, arguments) for text in arguments.datasets}
    (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    _print(report)


def _measure(text: str, arguments: argparse.Namespace) -> dict[str, Any]:
    place, _, imgsz = text.partition("=")
    dataset, size = Path(place), int(imgsz or 320)
    run, bundle = arguments.out / f"{dataset.name}-run", arguments.out / f"{dataset.name}.onnx"
    began = time.monotonic()
    call_verb("train", dataset, "-o", run, "--imgsz", size, "--time-limit", arguments.time_limit)
    call_verb("export", run, "-d", dataset, "-o", bundle, "--precision", "auto")
    seconds = time.monotonic() - began
    gate = json.loads(bundle.with_suffix(".json").read_text())
    ratio = _baseline_over(bundle, size, arguments)
    return {"seconds": seconds, "silu_fp32_over_bundle": ratio, "gate": gate}


def _baseline_over(bundle: Path, size: int, arguments: argparse.Namespace) -> float:
    """Median over the turns of yolo26n's time over the bundle's."""
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    baseline = Session(write_model(arguments.out, "silu", image), provider="cpu")
    ours = Session(bundle, provider="cpu")
    tensor = (
        Detector(bundle, provider="cpu")
        .preprocess((image[0].permute(1, 2, 0) * 255).byte().contiguous().numpy())
        .tensor
    )
    ratios = []
    for turn in range(arguments.turns + 1):
        slow, _ = time_ms(baseline, image.numpy(), INFERENCES)
        fast, _ = time_ms(ours, tensor, INFERENCES)
        if turn:  # the first warms up
            ratios.append(slow / fast)
    return statistics.median(ratios)


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
        print(
            f"{text}: train, export and gate {found['seconds']:.0f} s; yolo26n with SiLU in float32 takes "
            f"{found['silu_fp32_over_bundle']:.2f} times as long as the bundle"
        )


if __name__ == "__main__":
    main()
