"""Members that learned in rounds: published as a teacher, and handed over to the labeling job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeloop.labeling.engine import rounds
from edgeloop.labeling.engine.rounds import Learner, Steps
from edgeloop.labeling.improvement.loop_teacher import open_teacher
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.sam import load
from edgeloop.labeling.teaching.learning.hand_over import hand_over
from edgeloop.labeling.teaching.open_loop import loop_exemplars, open_loop
from edgeloop.labeling.teaching.published_teacher import read_teacher
from edgeloop.labeling.teaching.teacher_detector import TeacherDetector, publish_teacher
from edgeloop.models.errors import DataError
from tests.blocks import block_box, draw_block


def draw(folder: Path, count: int) -> Path:
    """Write boxes of the block on so many pictures."""
    coco: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "block"}]}
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), draw_block(10 * number))
        x1, y1, x2, y2 = block_box(10 * number)
        box = [x1, y1, x2 - x1, y2 - y1]
        coco["images"].append({"id": number, "file_name": f"{number}.png", "width": 160, "height": 120})
        coco["annotations"].append({"id": number, "image_id": number, "category_id": 1, "bbox": box})
    (folder / "boxes.json").write_text(json.dumps(coco))
    return folder / "boxes.json"


def learned(folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[LoopFolder, Learner]:
    """Loop whose learner has finished a few steps."""
    monkeypatch.setattr(rounds, "_PASTED", 2)
    loop = open_loop(folder / "loop", "footage", draw(folder, count), None, None, seed=0)
    learner = Learner(loop.teacher / "rounds", load("nano", offline=True), steps=Steps(2, 1, 2))
    learner.take(loop_exemplars(loop))
    while (plan := learner.next_round()) is not None:
        learner.train(plan, lambda _: True)
    return loop, learner


@pytest.mark.slow
def test_what_was_learned_in_rounds_labels_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, learner = learned(tmp_path, 2, monkeypatch)
    engine = learner.engine(confidence=0.5)
    assert engine is not None
    for number in (1, 2, 3):
        publish_teacher(
            loop.teacher, learner.graph, engine, side=learner.side, names=("block",), number=number
        )
    assert sorted(path.name for path in loop.teacher.glob("*.onnx")) == ["round-0002.onnx", "round-0003.onnx"]
    published = read_teacher(loop.teacher)
    assert published is not None
    detector = TeacherDetector.open(loop.teacher, published, confidence=0.1, threads=1)
    found, steps_ms = detector.detect_timed(draw_block(5))
    expected = engine.detect(draw_block(5))
    expected = expected[expected.confidence > 0.1]
    np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=0.01)
    assert steps_ms["infer"] > 0

    assert hand_over(learner, loop)
    monkeypatch.setattr("edgeloop.labeling.engine.members.train_member", _no_training)
    teacher, names = open_teacher(loop)
    assert names == ("block",)
    np.testing.assert_allclose(
        teacher.ensemble.detect(draw_block(5)).xyxy, engine.ensemble.detect(draw_block(5)).xyxy, atol=0.01
    )
    assert teacher.calibration.shift == pytest.approx(engine.calibration.shift)


def _no_training(*_: object, **__: object) -> None:
    raise AssertionError("learns again")


@pytest.mark.slow
def test_members_that_were_kept_from_other_frames_are_not_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, learner = learned(tmp_path, 1, monkeypatch)
    learner.engine(confidence=0.5)
    assert not hand_over(learner, loop)


def test_a_damaged_file_of_the_teacher_is_told(tmp_path: Path) -> None:
    assert read_teacher(tmp_path) is None
    (tmp_path / "teacher.json").write_text('{"graph": 3}')
    with pytest.raises(DataError, match="remove it, and the teacher learns anew"):
        read_teacher(tmp_path)
