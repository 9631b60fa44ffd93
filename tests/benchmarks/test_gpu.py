"""benchmarks/gpu.sh, on the CPU: it measures, judges and writes what it would of a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import peer

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.sh"


@pytest.mark.slow
def test_rates_goals_and_files_are_written(block_model: Path, tmp_path: Path) -> None:
    figures, page = tmp_path / "gpu.json", tmp_path / "gpu.md"
    done = subprocess.run(
        [
            "bash",
            SCRIPT,
            block_model,
            *["--provider", "cpu", "--seconds", "0.6", "--limit", "100", "--json"],
            figures,
            "--markdown",
            page,
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHON": sys.executable, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    rates = {rate["way"]: rate for rate in found["rates"]}
    assert {"bare model", "1 stream", "4 streams"} <= set(rates)
    for way in ("bare model", "1 stream", "4 streams"):
        assert 0 < rates[way]["latency_ms"]["p50"] <= rates[way]["latency_ms"]["p99"]
        assert rates[way]["provider"] == "cpu"
    ratio, rate = found["goals"]
    assert ratio["reached"] == pytest.approx(rates["1 stream"]["fps"] / rates["bare model"]["fps"], abs=0.01)
    assert ratio["held"] == (ratio["reached"] >= 0.9)
    assert rate["held"] == (rates["1 stream"]["fps"] >= 300)
    assert found["not_measured"] == []
    assert ("held" if ratio["held"] else "missed") in done.stdout
    assert "| block | cpu | 4 streams |" in page.read_text()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ultralytics") is None, reason="ultralytics is not installed")
def test_ultralytics_is_timed_on_the_same_video(
    block_model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "TURNS", 1)
    found = peer.compare(block_model, clip, frames=40, provider="cpu", confidence=0.5)
    assert found.ours.fps > 0
    assert found.theirs.fps > 0


@pytest.mark.slow
def test_a_provider_that_is_not_there_is_named(block_model: Path, tmp_path: Path) -> None:
    figures = tmp_path / "gpu.json"
    script = SCRIPT.with_name("gpu_rates.py")
    command: list[str | Path] = [
        sys.executable,
        script,
        block_model,
        "--provider",
        "tensorrt",
        "--json",
        figures,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (reason,) = json.loads(figures.read_text())["not_measured"]
    assert reason.startswith("block on tensorrt: provider 'tensorrt': this onnxruntime has cpu")
