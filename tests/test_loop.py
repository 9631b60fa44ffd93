"""The loop itself, small and for real: SAM labels, our trainer trains, onnxruntime runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import pytest

from edgeloop.edge.demo.call_verb import VerbError, call_verb
from tests.calls import Outcome, run_here
from tests.quick_teacher import teach_quickly

pytestmark = pytest.mark.timeout(900)  # the fixture is the whole loop, on a machine that may be busy

PASSES = 30

Report = dict[str, Any]


@pytest.fixture(scope="module")
def out(_slow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "out"

    def run(command: Sequence[str], **options: Any) -> object:
        """Let a training end after some passes, not after a time: it learns no less on a busy machine."""
        return run_here([*command, "--epochs", str(PASSES)] if "train" in command else command, **options)

    with pytest.MonkeyPatch.context() as patched:
        teach_quickly(patched, steps=60)
        patched.setattr("edgeloop.edge.demo.loop.LIVE_FRAMES", 120)
        patched.setattr("edgeloop.edge.demo.call_verb.subprocess", SimpleNamespace(run=run))
        small = ["--size", "320x240", "--frames", "48", "--train-seconds", "800", "--imgsz", "192"]
        demo = run_here(["edgeloop", "demo", "--out", str(folder), *small], capture_output=True)
    assert demo.returncode == 0, demo.stderr[-3000:]
    assert b"overview.png" in demo.stdout
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


def test_an_earlier_demo_is_kept_unless_told(out: Path, edgeloop: Callable[..., Outcome]) -> None:
    done = edgeloop("demo", "--out", out)
    assert done.code == 65
    assert "--overwrite" in done.err
    assert (out / "report.json").is_file()


def test_a_verb_runs_in_a_process_of_its_own_and_its_failure_is_told(
    tmp_path: Path, block_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    call_verb("inspect", block_model)
    assert "block" in capfd.readouterr().out
    with pytest.raises(VerbError, match="`edgeloop inspect` ended with exit code 66") as failed:
        call_verb("inspect", tmp_path / "none.onnx")
    assert failed.value.exit_code == 66
    told = capfd.readouterr().err
    assert f"$ edgeloop inspect {tmp_path / 'none.onnx'}" in told
    assert "none.onnx: there is no such model file" in told
