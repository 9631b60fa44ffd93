"""Gate of a first student."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.export.data.yolo_dataset import LabeledImage
from edgeloop.labeling.engine.calibration import HeldOut as DrawnFrame
from edgeloop.labeling.improvement.held_out import HeldOut
from edgeloop.labeling.inputs.exemplars import ExemplarFrame
from edgeloop.labeling.teaching.learning.agreement import judge_by
from edgeloop.models.detections import Detections
from tests.blocks import block_box, draw_block


@pytest.fixture
def later(tmp_path: Path) -> HeldOut:
    """Later frames, labeled where the block is."""
    images = []
    for number in range(4):
        path = tmp_path / f"later{number}.png"
        cv2.imwrite(str(path), draw_block(number))
        x1, y1, x2, y2 = block_box(number)
        center = [[(x1 + x2) / 320, (y1 + y2) / 240, (x2 - x1) / 160, (y2 - y1) / 120]]
        images.append(LabeledImage(path, np.zeros(1, np.int64), np.array(center, np.float32)))
    return HeldOut(("block",), (), tuple(images))


def drawn(folder: Path, *, person: int, teacher: int) -> list[DrawnFrame]:
    """The person's frame, on which boxes are so many pixels off."""
    path = folder / "drawn.png"
    cv2.imwrite(str(path), draw_block(3))
    box = np.array([block_box(3)], np.float32)
    found = Detections(box + teacher, np.array([0.8], np.float32), np.zeros(1, np.int64))
    return [DrawnFrame(ExemplarFrame(path, box + person, np.zeros(1, np.int64)), found)]


def test_a_student_that_agrees_and_is_no_worse_passes(
    block_model: Path, later: HeldOut, tmp_path: Path
) -> None:
    judgment = judge_by(drawn(tmp_path, person=0, teacher=0), 0.9)(block_model, later)
    assert judgment.refusal is None
    assert judgment.praise == (
        "mAP50 1.000 against the teacher's labels on 4 later frames; 1.000 on the person's 1 frames, "
        "the teacher 1.000"
    )
    assert judgment.new is not None
    assert judgment.new.own == 1.0


def test_a_student_that_disagrees_is_refused(block_model: Path, later: HeldOut, tmp_path: Path) -> None:
    moved = tuple(LabeledImage(image.path, image.class_id, image.xywh + 0.3) for image in later.new)
    judgment = judge_by(drawn(tmp_path, person=0, teacher=0), 0.9)(
        block_model, HeldOut(later.names, (), moved)
    )
    assert judgment.refusal is not None
    assert judgment.refusal.endswith("on 4 later frames, expected 0.9 at least")


def test_a_student_that_is_worse_on_the_persons_frames_is_refused(
    block_model: Path, later: HeldOut, tmp_path: Path
) -> None:
    judgment = judge_by(drawn(tmp_path, person=25, teacher=25), 0.9)(block_model, later)
    assert judgment.refusal is not None
    assert judgment.refusal.endswith("but 0.000 on the person's 1 frames, the teacher 1.000")


def test_a_difference_on_one_frame_of_three_may_be_chance(
    block_model: Path, later: HeldOut, tmp_path: Path
) -> None:
    same, worse = (drawn(tmp_path, person=moved, teacher=moved) for moved in (0, 25))
    judgment = judge_by([*same, *same, *worse], 0.9)(block_model, later)
    assert judgment.refusal is None
    assert judgment.praise.endswith("the teacher 1.000, which may be chance")


def test_without_held_out_frames_of_a_person_the_agreement_counts_alone(
    block_model: Path, later: HeldOut
) -> None:
    assert judge_by((), 0.9)(block_model, later).refusal is None


def test_later_frames_without_objects_say_nothing(block_model: Path, later: HeldOut) -> None:
    empty = tuple(
        LabeledImage(image.path, np.zeros(0, np.int64), np.zeros((0, 4), np.float32)) for image in later.new
    )
    judgment = judge_by((), 0.9)(block_model, HeldOut(later.names, (), empty))
    assert judgment.refusal == "no object on its 4 later frames to agree on; add frames"
