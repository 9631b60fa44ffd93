"""The examples run as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import edgeloop
from examples.label_and_train import main

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: object) -> list[str]:
    command = [sys.executable, "-P", str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_source_of_ones_own(block_model: Path, clip: Path) -> None:
    lines = run("own_source.py", block_model, clip)
    assert len(lines) == 40
    assert lines[0].startswith("0 [] "), "the block is still in the left half"
    assert lines[39].startswith("39 ['block'] ")


def test_a_sink_of_ones_own(block_model: Path, clip: Path, tmp_path: Path) -> None:
    (line,) = run("own_sink.py", block_model, clip, tmp_path / "found.csv")
    assert line.startswith("40 frames, ")
    rows = (tmp_path / "found.csv").read_text().splitlines()
    assert rows[0] == "frame,class,confidence,x1,y1,x2,y2"
    assert len(rows) == 41
    assert rows[40].startswith("39,block,0.900,")


def test_a_tracker_of_ones_own(block_model: Path, clip: Path) -> None:
    assert run("own_tracker.py", block_model, clip) == ["1 objects"]


def test_labeling_training_and_export_follow_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[tuple[Any, ...]] = []
    for name in ("label_frames", "train_detector", "export_bundle"):
        monkeypatch.setattr(edgeloop, name, lambda *arguments, name=name: calls.append((name, *arguments)))
    main(tmp_path / "frames", tmp_path / "boxes.json", tmp_path / "out")
    (label, plan), (train, dataset, run), (export, *trained, bundle) = calls
    assert (label, train, export) == ("label_frames", "train_detector", "export_bundle")
    assert (plan.frames, plan.exemplars, plan.out) == (tmp_path / "frames", tmp_path / "boxes.json", dataset)
    assert trained == [run, dataset]
    assert bundle == tmp_path / "out" / "parts.onnx"
