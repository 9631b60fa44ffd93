"""Loops that `edgeloop teach` makes and goes on with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.edge.synth import open_scene
from edgeloop.labeling.improvement.make_generation import labeling_plan
from edgeloop.labeling.inputs.exemplars import read_exemplars
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.teaching.open_loop import loop_exemplars, open_loop
from edgeloop.models.errors import DataError, NoInputError, UsageError

Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draws boxes on two frames beside a COCO json."""

    def drawn(*, shift: int = 0, ignore: bool = False) -> Path:
        folder = tmp_path / "drawn"
        folder.mkdir(exist_ok=True)
        annotations = []
        for number in range(2):
            cv2.imwrite(str(folder / f"{number}.png"), np.full((90, 120, 3), 60 + number, np.uint8))
            box = {"id": number, "image_id": number, "category_id": 3, "bbox": [10 + shift, 20, 30, 40]}
            annotations.append({**box, "segmentation": [[10, 20, 40, 20, 10, 60]]} if number else box)
        if ignore:
            annotations.append({"id": 9, "image_id": 1, "category_id": 4, "bbox": [60, 20, 30, 40]})
        coco = {
            "images": [{"id": k, "file_name": f"{k}.png", "width": 120, "height": 90} for k in range(2)],
            "categories": [{"id": 3, "name": "bolt"}, {"id": 4, "name": "_ignore"}],
            "annotations": annotations,
        }
        (folder / "boxes.json").write_text(json.dumps(coco))
        return folder / "boxes.json"

    return drawn


def opened(root: Path, boxes: Path | None) -> LoopFolder:
    return open_loop(root, "0", boxes, None, None, seed=3)


def test_a_new_loop_keeps_boxes_masks_and_images(tmp_path: Path, draw: Draw) -> None:
    boxes = draw(ignore=True)
    given = read_exemplars(boxes, tmp_path / "drawn")
    loop = opened(tmp_path / "loop", boxes)
    for path in (tmp_path / "drawn").iterdir():
        path.unlink()
    exemplars = loop_exemplars(loop)
    assert exemplars.names == ("bolt",)
    assert [frame.class_id.tolist() for frame in exemplars.frames] == [[0], [0, -1]]
    assert exemplars.frames[1].xyxy.tolist() == [[10, 20, 40, 60], [60, 20, 90, 60]]
    assert [frame.masks for frame in exemplars.frames] == [frame.masks for frame in given.frames]
    assert [*exemplars.frames[1].masks] == [0]
    assert (loop.settings.source, loop.settings.seed) == ("0", 3)


def test_boxes_apart_from_their_images(tmp_path: Path, draw: Draw) -> None:
    boxes = draw()
    apart = boxes.rename(tmp_path / "boxes.json")
    told = r"boxes\.json: image 0\.png is not beside its boxes; put it there, or name .* --images"
    with pytest.raises(DataError, match=told):
        opened(tmp_path / "loop", apart)
    assert not (tmp_path / "loop").exists()
    open_loop(tmp_path / "loop", "0", apart, tmp_path / "drawn", None, seed=3)


def test_damage_of_a_loop_is_named(tmp_path: Path, draw: Draw) -> None:
    loop = opened(tmp_path / "loop", draw())
    shutil.rmtree(loop.exemplars.parent / "images")
    with pytest.raises(DataError, match="holds a loop with other boxes"):
        opened(tmp_path / "loop", draw())
    loop.exemplars.write_bytes(loop.exemplars.read_bytes()[:100])
    with pytest.raises(DataError, match=r"exemplars/instances\.json.*not a COCO json"):
        opened(tmp_path / "loop", draw())


def test_the_same_command_goes_on_with_a_loop(tmp_path: Path, draw: Draw) -> None:
    first = opened(tmp_path / "loop", draw())
    assert opened(tmp_path / "loop", draw()).settings == first.settings
    assert opened(tmp_path / "loop", None).settings == first.settings


def test_a_loop_keeps_the_task_that_it_began_with(tmp_path: Path, draw: Draw) -> None:
    boxes = draw()
    loop = open_loop(tmp_path / "loop", "0", boxes, None, None, seed=3, task="segment")
    assert labeling_plan(loop).task == "segment"
    assert opened(tmp_path / "loop", None).settings.task == "segment"
    with pytest.raises(DataError, match="task is segment, expected detect"):
        open_loop(tmp_path / "loop", "0", boxes, None, None, seed=3, task="detect")


def test_a_loop_without_boxes_yet_gets_them(tmp_path: Path, draw: Draw) -> None:
    loop = opened(tmp_path / "loop", draw())
    loop.exemplars.unlink()
    assert loop_exemplars(opened(tmp_path / "loop", draw())).names == ("bolt",)


def test_other_boxes_than_those_of_the_loop_are_refused(tmp_path: Path, draw: Draw) -> None:
    opened(tmp_path / "loop", draw())
    with pytest.raises(DataError, match="holds a loop with other boxes; leave out -e to go on with it"):
        opened(tmp_path / "loop", draw(shift=5))


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, draw: Draw) -> None:
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "diary.txt").write_text("mine")
    with pytest.raises(DataError, match="expected a new or empty folder for the loop"):
        opened(tmp_path / "loop", draw())


def test_boxes_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-e is missing"):
        opened(tmp_path / "loop", None)
    with pytest.raises(NoInputError):
        opened(tmp_path / "loop", tmp_path / "none.json")
    assert not (tmp_path / "loop").exists()


def test_a_scene_draws_its_own_boxes(tmp_path: Path) -> None:
    scene = open_scene("conveyor", seed=7, size=(320, 240))
    loop = open_loop(tmp_path / "loop", "synth:conveyor?seed=7&size=320x240", None, None, scene, seed=0)
    exemplars = loop_exemplars(loop)
    assert len(exemplars.frames) == 5
    assert set(exemplars.names) <= set(scene.classes)
    again = open_loop(tmp_path / "loop", "synth:conveyor?seed=7&size=320x240", None, None, scene, seed=0)
    assert again.settings == loop.settings
    loop.exemplars.unlink()  # as if it had been killed before they were stored
    open_loop(tmp_path / "loop", "synth:conveyor?seed=7&size=320x240", None, None, scene, seed=0)
    assert loop_exemplars(loop).frames[0].path == exemplars.frames[0].path
