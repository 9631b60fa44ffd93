"""From frames and a few exemplars to a detector: label, train, export.

    edgeloop collect belt.mp4 -o frames
    python examples/label_and_train.py frames exemplars.json parts

The exemplars are boxes on some of the frames, as COCO json. Needs edgeloop[label,export].
"""

from __future__ import annotations

import sys
from pathlib import Path

import edgeloop


def main(frames: Path, exemplars: Path, out: Path) -> None:
    """Write the dataset, the training run and the bundle `parts.onnx` into a folder."""
    dataset, run = out / "dataset", out / "run"
    if not dataset.exists():  # interrupted, it resumes
        edgeloop.label_frames(edgeloop.LabelPlan(frames, exemplars, dataset))
    if not run.exists():
        edgeloop.train_detector(dataset, run)
    if not (out / "parts.onnx").exists():
        edgeloop.export_bundle(run, dataset, out / "parts.onnx")
    print(f"edgeloop run {out / 'parts.onnx'} 0 --show")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
