"""`edgeloop teach` from the first answer to the judgment of the first student."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from edgeloop.edge.demo.scene_truth import scene_coco
from edgeloop.edge.synth import open_scene
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.teaching.learning.learner_link import learner_command
from edgeloop.labeling.teaching.learning.learning_plan import LearningPlan
from edgeloop.labeling.teaching.open_loop import draw_scene
from edgeloop.labeling.teaching.teach_source import TeachPlan, teach_source
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError, UsageError
from tests.labeling.improvement.rings import picture, write_ring

SOURCE = "synth:conveyor?seed=7&size=320x240&step=7"
QUICK = LearningPlan(frames=20, epochs=2, imgsz=160, agreement=0, first=20, full=20, nice=0)
QUICK_LEARNER = f"""
import runpy, sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pytest import MonkeyPatch
from tests.quick_teacher import teach_quickly
teach_quickly(MonkeyPatch(), steps=20)
runpy.run_module(sys.argv.pop(1), run_name="__main__")
"""


def draw_two_frames(folder: Path) -> Path:
    """Write the boxes of two frames of the scene, with the images."""
    scene = open_scene("conveyor", seed=7, size=(320, 240))
    drawn = [(f"{index}.png", index) for index in draw_scene(scene)[:2]]
    for name, index in drawn:
        cv2.imwrite(str(folder / name), scene.render(index))
    (folder / "boxes.json").write_text(json.dumps(scene_coco(scene, drawn)))
    return folder / "boxes.json"


@pytest.mark.slow
def test_a_student_that_hardly_learned_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(loop: Path, plan: str) -> list[str]:
        python, *_, module, loop_text, plan_text = learner_command(loop, plan)
        return [python, "-c", QUICK_LEARNER, module, loop_text, plan_text]

    monkeypatch.setattr("edgeloop.labeling.teaching.teach_source.learner_command", command)
    boxes = draw_two_frames(tmp_path)
    plan = TeachPlan(
        f"{SOURCE}&frames=40", tmp_path / "loop", boxes, learning=QUICK, as_json=True, track=True
    )
    with pytest.raises(DataError, match="no student was made; no more frames will come"):
        teach_source(plan)
    out, told = capfd.readouterr()
    results = [json.loads(line) for line in out.splitlines()]
    assert [result["index"] for result in results] == list(range(0, 40 * 7, 7))
    assert any(found["tracker_id"] is not None for result in results for found in result["detections"])
    assert "The teacher answers (round 1, from 2 frames of a person, expected mAP50" in told
    assert "Student 1 was refused: " in told

    loop = LoopFolder.open(tmp_path / "loop")
    assert loop.current() is None
    assert [each.verdict for each in loop.generations()] == ["refused"]
    lines = [json.loads(line) for line in (loop.root / "timeline.jsonl").read_text().splitlines()]
    assert lines[0]["answers"] is None
    assert lines[-1]["answers"] == "teacher, round 1"
    assert any(line["map50"] is not None for line in lines)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"source": "synth:factory"}, UsageError, "no scene 'factory'"),
        ({"source": "no-such.mp4"}, UsageError, "-e is missing"),
        ({"learning": LearningPlan(imgsz=100)}, UsageError, "--imgsz 100: expected a multiple of 32"),
        ({"exemplars": Path("none.json")}, NoInputError, "none.json"),
    ],
)
def test_wrong_options_are_refused_at_once(
    tmp_path: Path, changes: dict[str, Any], error: type[EdgeloopError], message: str
) -> None:
    with pytest.raises(error, match=message):
        teach_source(replace(TeachPlan(SOURCE, tmp_path / "loop"), **changes))
    assert not (tmp_path / "loop").exists()


WITHOUT_TORCH = """
import sys
from edgeloop.edge.cli.app import cli
from edgeloop.models.errors import NoInputError
try:
    cli.main(sys.argv[1:], standalone_mode=False)
except NoInputError as error:
    print("torch" in sys.modules, error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["teach", "mine"])
def test_a_wrong_path_is_said_before_torch_is_loaded(verb: str, tmp_path: Path) -> None:
    write_ring(tmp_path / "ring", [picture(0)])
    source = tmp_path / "ring" if verb == "mine" else "0"
    command = [
        sys.executable,
        "-c",
        WITHOUT_TORCH,
        verb,
        source,
        "-e",
        tmp_path / "no.json",
        "-o",
        tmp_path / "o",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"False {tmp_path / 'no.json'}: ")
