"""`edgeloop bench`: turns of model and loop, and figures of a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.calls import Outcome

BENCH = [sys.executable, "-m", "edge", "bench"]


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*BENCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)


def test_the_report_adds_up(block_model: Path, clip: Path) -> None:
    done = bench(block_model, clip, "--frames", 20, "--turns", 3, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report["turns"]) == 3
    ratios = [turn["loop_fps"] / turn["model_fps"] for turn in report["turns"]]
    assert report["ratio"] == pytest.approx(sorted(ratios)[1], abs=0.001)
    assert min(ratios) <= report["ratio"] <= max(ratios)
    assert set(report["stages_ms"]) == {"wait", "preprocess", "infer", "postprocess", "act"}
    assert 0.05 < report["first_detection_s"] < 30
    assert 30 < report["peak_memory_mb"] < 400


def test_the_default_source_is_a_scene_and_the_table_is_for_people(block_model: Path) -> None:
    done = bench(block_model, "--frames", 5, "--turns", 1)
    assert done.returncode == 0, done.stderr
    assert "synth:conveyor, 1 turns of 5 frames" in done.stdout
    for topic in ("bare model", "loop", "ratio", "first detection", "peak memory"):
        assert topic in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["nowhere.onnx"], 66), (["{model}", "nowhere.mp4"], 66), (["{model}", "--turns", "0"], 2)],
)
def test_bad_input(
    edgeloop: Callable[..., Outcome], block_model: Path, arguments: list[str], code: int
) -> None:
    done = edgeloop("bench", *(argument.format(model=block_model) for argument in arguments))
    assert done.code == code
    assert "Traceback" not in done.err
