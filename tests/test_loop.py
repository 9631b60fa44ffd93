"""The loop itself, small and for real: SAM labels, ultralytics trains, onnxruntime runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest

pytestmark = pytest.mark.timeout(900)  # the fixture is the whole loop, on a machine that may be busy

Report = dict[str, Any]


@pytest.fixture(scope="module")
def out(_slow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "out"
    small = ["--size", "320x240", "--frames", "60", "--train-seconds", "60", "--imgsz", "192"]
    demo = [sys.executable, "-P", "-m", "edgeloop", "demo", "--out", str(folder), *small]
    result = subprocess.run(demo, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "overview.png" in result.stdout
    return folder


@pytest.fixture(scope="module")
def report(out: Path) -> Report:
    loaded: Report = json.loads((out / "report.json").read_text())
    return loaded


def test_labels_and_detector_find_the_parts(report: Report) -> None:
    assert report["labels"]["map50"] > 0.5
    assert report["detector"]["map50"] > 0.3
    assert report["detector"]["map50"] >= report["detector"]["map50_95"]


def test_onnxruntime_repeats_torch(report: Report) -> None:
    assert report["parity"]["matched"] >= 0.99


def test_the_live_run_is_measured(report: Report) -> None:
    latency = report["run"]["latency_ms"]
    assert report["run"]["fps"] > 0
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert set(report["seconds"]) == {"collect", "label", "train", "export", "run", "score", "total"}


def test_the_pictures_open(out: Path) -> None:
    overview = cv2.imread(str(out / "overview.png"))
    assert overview is not None
    assert overview.shape[1] > 3 * 320
    video = cv2.VideoCapture(str(out / "annotated.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) > 0
    assert video.read()[1].shape == (240, 320, 3)


def test_an_earlier_demo_is_kept_unless_told(out: Path) -> None:
    demo = [sys.executable, "-P", "-m", "edgeloop", "demo", "--out", str(out)]
    result = subprocess.run(demo, capture_output=True, text=True, check=False)
    assert result.returncode == 65
    assert "--overwrite" in result.stderr
    assert (out / "report.json").is_file()
