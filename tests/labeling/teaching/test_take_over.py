"""A student that takes over while a source runs: what is answered, kept, told and drawn."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from edgeloop.edge.ring.ring_database import read_ring
from edgeloop.edge.run_job import LivePolicy, RunJob
from edgeloop.export.network.start_detector import start_detector
from edgeloop.labeling.engine.ensemble import write_ensemble
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.teaching.kept_frames import count_kept
from edgeloop.labeling.teaching.open_loop import open_loop
from edgeloop.labeling.teaching.teach_job import TeachJob, teach
from tests.blocks import CONFIDENCE, block_box, draw_block
from tests.waiting import until

STAND_IN = Path(__file__).parent / "stand_in_learner.py"
FRAMES = 150


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ensemble of one member that has learned nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("graph") / "ensemble.onnx"
    write_ensemble([start_detector(1, None, seed=0)[0].eval()], path)
    return path


@pytest.fixture
def loop(tmp_path: Path) -> LoopFolder:
    """Loop with two boxed pictures of the block."""
    coco: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "block"}]}
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"drawn{number}.png"), draw_block(50 + number))  # none of the footage
        x1, y1, x2, y2 = block_box(50 + number)
        box = [x1, y1, x2 - x1, y2 - y1]
        coco["images"].append({"id": number, "file_name": f"drawn{number}.png", "width": 160, "height": 120})
        coco["annotations"].append({"id": number, "image_id": number, "category_id": 1, "bbox": box})
    (tmp_path / "boxes.json").write_text(json.dumps(coco))
    return open_loop(tmp_path / "loop", "footage", tmp_path / "boxes.json", None, None, seed=0)


@pytest.fixture
def run(
    loop: LoopFolder, graph: Path, block_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[list[dict[str, Any]], str]]:
    """Teaches on a folder of pictures; returns the results and what was told."""

    def taught(frames: int, seconds: float = 1.0) -> tuple[list[dict[str, Any]], str]:
        folder = tmp_path / f"footage{frames}"
        folder.mkdir()
        for number in range(frames):
            cv2.imwrite(str(folder / f"{number:04d}.png"), draw_block(number % 50))
        job = RunJob([str(folder)], LivePolicy(), as_json=True)
        paths = map(str, (STAND_IN, loop.root, graph, block_model))
        capfd.readouterr()
        assert not teach(TeachJob(job, loop, 0.25, [sys.executable, *paths, str(seconds)]))
        out, told = capfd.readouterr()
        return [json.loads(line) for line in out.splitlines()], told

    return taught


@pytest.mark.slow
def test_the_student_takes_over_without_a_frame_lost(
    loop: LoopFolder, run: Callable[..., tuple[list[dict[str, Any]], str]]
) -> None:
    results, told = run(FRAMES)
    assert [result["index"] for result in results] == list(range(FRAMES))
    by_student = [
        [found["confidence"] for found in result["detections"]] == [CONFIDENCE] for result in results
    ]
    assert not by_student[0]
    assert by_student[-1]
    assert by_student == sorted(by_student)
    assert "Nobody answers yet: a teacher learns from 2 frames of a person" in told
    assert "The teacher answers (round 1, from 2 frames of a person) until a student agrees with it" in told
    assert "Ended before anybody answered" not in told
    assert "The student answers from now on (generation 1): it finds the block" in told

    lines = [json.loads(line) for line in (loop.root / "timeline.jsonl").read_text().splitlines()]
    assert lines[-1]["answers"] == "student, generation 1"
    assert lines[-1]["frames"] == FRAMES
    events = [event for line in lines for event in line["events"]]
    assert events.index("first answer") < events.index("student")
    assert (loop.root / "teach.png").is_file()
    assert lines[-1]["kept"] >= 1
    ring = read_ring(loop.ring)
    assert ring.entries
    assert {model.names for model in ring.models.values()} == {("block",)}
    current = loop.current()
    assert current is not None
    assert {entry.model for entry in ring.entries} == {current.digests.bundle}


@pytest.mark.slow
def test_a_loop_with_a_student_goes_on_with_it(
    loop: LoopFolder, run: Callable[..., tuple[list[dict[str, Any]], str]]
) -> None:
    run(3, seconds=0)
    kept = count_kept(loop.frames)
    results, told = run(5)
    assert all(len(result["detections"]) == 1 for result in results)
    assert "The student answers from now on (generation 1): the loop's current one" in told
    assert "The teacher answers" not in told
    assert count_kept(loop.frames) == kept


def test_an_end_before_the_first_answer_is_said(
    loop: LoopFolder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), draw_block(1))
    job = RunJob([str(tmp_path / "one.png")], LivePolicy(), duration_s=1.0)
    teach(TeachJob(job, loop, 0.25, [sys.executable, "-c", "import time; time.sleep(60)"]))
    told = capfd.readouterr().err
    assert "Nobody answers yet: a teacher learns from 2 frames of a person" in told
    assert "Ended before anybody answered; the same command goes on learning" in told


@pytest.mark.slow
def test_a_signal_ends_it_and_keeps_what_was_kept(loop: LoopFolder, graph: Path, block_model: Path) -> None:
    learner = [sys.executable, *map(str, (STAND_IN, loop.root, graph, block_model, 600))]
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from edgeloop.edge.run_job import LivePolicy, RunJob\n"
        "from edgeloop.labeling.lineage.loop_folder import LoopFolder\n"
        "from edgeloop.labeling.teaching.teach_job import TeachJob, teach\n"
        f"job = RunJob(['synth:conveyor?size=160x120'], LivePolicy())\n"
        f"ended = teach(TeachJob(job, LoopFolder.open(Path({str(loop.root)!r})), 0.25, {learner!r}))\n"
        "sys.exit(130 if ended else 0)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as process:
        until(lambda: count_kept(loop.frames) >= 1, 60)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "waits for the student" not in told
    assert count_kept(loop.frames) >= 1
    assert (loop.root / "teach.png").is_file()
