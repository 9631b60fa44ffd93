"""Write detections to a CSV file: a function of a result is a sink.

    python examples/own_sink.py parts.onnx belt.mp4 detections.csv

A class with `write` and `close` works too, as `sinks=[...]`.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import edgeloop

if __name__ == "__main__":
    model, source, target = sys.argv[1:]
    detector = edgeloop.Detector(model)
    with Path(target).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["frame", "class", "confidence", "x1", "y1", "x2", "y2"])

        def write(result: edgeloop.Result) -> None:
            """Write one row per detection."""
            found = result.detections
            for box, confidence, class_id in zip(found.xyxy, found.confidence, found.class_id, strict=True):
                name = detector.names[class_id]
                table.writerow([result.frame.index, name, f"{confidence:.3f}", *box.round(1).tolist()])

        summary = edgeloop.run(source, detector, on_result=write)
    print(f"{summary.frames} frames, {summary.fps:.1f} fps, {dict(summary.detections)}")
