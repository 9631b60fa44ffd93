"""API of frames and boxes: summaries, frames that cannot be read, and the file behind it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from edgeloop.labeling.inputs.exemplars import read_exemplars
from edgeloop.labeling.studio.exemplar_file import ConflictError, DrawnBox, DrawnFrame, ExemplarFile
from edgeloop.labeling.studio.project import open_project
from edgeloop.models.errors import DataError
from tests.labeling.studio.serving import Serving, serve, write_gray_frames

BOLT = {"xyxy": [10, 20, 60, 80], "name": "bolt"}
NUT = {"xyxy": [100, 20, 160.5, 80], "name": "nut", "polygons": [[100, 20, 160.5, 20, 130, 80]]}
BROKEN = 6


def draw(studio: Serving, frame: int, *boxes: object, complete: bool = True) -> None:
    studio.api("PUT", f"frames/{frame}/boxes", {"boxes": boxes, "complete": complete})


def test_boxes_are_saved_at_once(studio: Serving) -> None:
    box = {"xyxy": [10, 20, 60, 80], "name": "bolt"}
    base = studio.api("GET", "frames/1/boxes")["base"]
    studio.api("PUT", "frames/1/boxes", {"base": base, "boxes": [box], "complete": True})
    coco = json.loads(studio.project.exemplars.read_text())
    assert [image["file_name"] for image in coco["images"]] == ["001.jpg"]
    assert coco["annotations"][0]["bbox"] == [10, 20, 50, 60]
    status, _, said = studio.ask("PUT", "api/frames/1/boxes", {"base": base, "boxes": [], "complete": True})
    assert status == 409
    assert json.loads(said)["current"]["boxes"][0]["name"] == "bolt"


def test_the_list_says_what_is_drawn(studio: Serving) -> None:
    draw(studio, 1, BOLT, NUT, BOLT)
    draw(studio, 2)
    listed = studio.api("GET", "frames")
    assert listed["classes"] == ["bolt", "nut"]
    assert listed["drawn"] == {
        "1": {"boxes": 3, "complete": True, "classes": {"bolt": 2, "nut": 1}},
        "2": {"boxes": 0, "complete": True, "classes": {}},
    }


def test_a_frame_that_cannot_be_read_says_why(studio: Serving) -> None:
    said = studio.api("GET", f"frames/{BROKEN}/boxes")
    assert (said["width"], said["height"]) == (0, 0)
    assert "broken.jpg" in said["unreadable"]
    assert studio.ask("GET", f"api/frames/{BROKEN}/thumbnail")[::2] == (204, b"")
    assert studio.ask("PUT", f"api/frames/{BROKEN}/boxes", {"boxes": [BOLT]})[0] == 422


NONSENSE = [
    ({"boxes": [{**BOLT, "xyxy": [10, 20, 330, 80]}]}, "outside the frame"),
    ({"boxes": [{**BOLT, "xyxy": [10, 20, 10, 80]}]}, "x1 < x2"),
    ({"boxes": [{**BOLT, "xyxy": [10, 20, float("nan"), 80]}]}, ""),
    ({"boxes": [{**BOLT, "name": ""}]}, "name"),
    ({"boxes": [{**BOLT, "name": "\ud800"}]}, "name"),
    ({"boxes": [{**BOLT, "polygons": [[1, 2]]}]}, "polygons"),
    ({"boxes": [BOLT], "also": 1}, "also"),
    ([1], ""),
]


def test_changes_that_make_no_sense_are_refused(studio: Serving) -> None:
    for change, said in NONSENSE:
        status, _, reply = studio.ask("PUT", "api/frames/1/boxes", change)
        assert status == 422, change
        assert said in json.loads(reply)["detail"]
    assert studio.api("GET", "frames")["drawn"] == {}


def test_a_class_is_renamed_with_its_boxes(studio: Serving) -> None:
    draw(studio, 1, BOLT, NUT)
    assert studio.api("POST", "classes/rename", {"name": "bolt", "to": "nut"})["names"] == ["nut"]
    assert [box["name"] for box in studio.api("GET", "frames/1/boxes")["boxes"]] == ["nut", "nut"]
    assert studio.api("PUT", "classes", {"names": ["gear", "nut"]})["names"] == ["gear", "nut"]
    assert studio.ask("PUT", "api/classes", {"names": ["gear"]})[0] == 422


def box(name: str = "bolt") -> DrawnBox:
    return DrawnBox(xyxy=(1, 2, 30.5, 40), name=name, polygons=((1, 2, 30.5, 2, 3, 40),))


def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "exemplars.json"
    file = ExemplarFile(path, lambda _: (64, 48))
    drawn = {
        "a": DrawnFrame(boxes=(box(), box("_ignore"))),
        "b": DrawnFrame(boxes=(box("nut"),), complete=False),
        "c": DrawnFrame(),
    }
    for name, frame in drawn.items():
        file.put(name, frame)
    assert ExemplarFile(path, lambda _: (64, 48)).drawn() == drawn
    assert ExemplarFile(path, lambda _: (64, 48)).names == ("bolt", "_ignore", "nut")


def test_a_frame_that_is_gone_keeps_its_boxes(tmp_path: Path) -> None:
    path = tmp_path / "exemplars.json"
    ExemplarFile(path, lambda _: (64, 48)).put("gone", DrawnFrame(boxes=(box(),)))

    def size_of(name: str) -> tuple[int, int]:
        if name == "gone":
            raise DataError("gone: is not among the frames")
        return 64, 48

    ExemplarFile(path, size_of).put("here", DrawnFrame(boxes=(box(),)))
    assert set(ExemplarFile(path, size_of).drawn()) == {"gone", "here"}


def test_a_change_of_an_older_revision_is_a_conflict(tmp_path: Path) -> None:
    file = ExemplarFile(tmp_path / "exemplars.json", lambda _: (64, 48))
    base = file.frame("a").revision
    mine = file.put("a", DrawnFrame(boxes=(box(),)), revision=base)
    with pytest.raises(ConflictError) as conflict:
        file.put("a", DrawnFrame(), revision=base)
    assert conflict.value.current == mine
    assert file.put("a", DrawnFrame(complete=False), revision=mine.revision).revision == base
    assert file.drawn() == {}


def test_a_box_of_any_coordinates_is_the_same_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "exemplars.json"
    corners = [(17.123 + n / 7, 3.3 * n, 40 + n / 3, 60 + 3.7 * n) for n in range(40)]
    frame = DrawnFrame(boxes=tuple(DrawnBox(xyxy=own, name="bolt") for own in corners))
    saved = ExemplarFile(path, lambda _: (640, 480)).put("a", frame)
    assert ExemplarFile(path, lambda _: (640, 480)).frame("a").revision == saved.revision


def test_label_leaves_out_a_frame_that_is_gone_until_it_is_back(studio: Serving, frames: Path) -> None:
    draw(studio, 0, BOLT)
    draw(studio, 1, NUT)
    path, name = studio.project.exemplars, studio.project.entry(1).name
    known = studio.project.drawn.frame(name)
    without = ExemplarFile(path, studio.project.drawn.size_of, lambda other: other != name)
    assert without.frame(name) == known
    (frames / name).rename(frames / "away")
    assert [own.path.name for own in read_exemplars(path, frames).frames] == [studio.project.entry(0).name]
    (frames / "away").rename(frames / name)
    assert ExemplarFile(path, studio.project.drawn.size_of).frame(name) == known
    assert len(read_exemplars(path, frames).frames) == 2


def test_a_drawn_frame_that_became_unreadable_can_be_cleared(studio: Serving) -> None:
    draw(studio, 0, BOLT)
    broken = ExemplarFile(studio.project.exemplars, size_of_nothing)
    broken.put(studio.project.entry(0).name, DrawnFrame(complete=False))
    assert not broken.drawn()


def size_of_nothing(name: str) -> tuple[int, int]:
    raise DataError(f"{name}: cannot be read")


def test_masks_of_another_tool_are_outlines(tmp_path: Path) -> None:
    frames = write_gray_frames(tmp_path / "frames")
    triangle = {"bbox": [1, 2, 30, 40], "segmentation": [[1, 2, 31, 2, 1, 42]]}
    boxes = [{"image_id": 0, "category_id": 0, **own} for own in (triangle, {"bbox": [50, 2, 30, 40]})]
    images, categories = [{"id": 0, "file_name": "0.png"}], [{"id": 0, "name": "bolt"}]
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    with open_project(frames, tmp_path / "work", path) as project:
        drawn = project.drawn.frame("0.png").boxes
        assert [len(own.polygons) for own in drawn] == [1, 0]
        (given,), (kept,) = (read_exemplars(own, frames).frames for own in (path, project.exemplars))
    assert [*kept.masks] == [0]
    one, other = ({"size": [240, 320], "counts": own.masks[0]} for own in (given, kept))
    assert rle.iou([one], [other], [0])[0, 0] > 0.97


def test_boxes_of_another_tool_are_taken_all_or_none(tmp_path: Path) -> None:
    frames = write_gray_frames(tmp_path / "frames")
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(2)]
    boxes = [{"image_id": n, "category_id": n, "bbox": [1, 2, 30, 40]} for n in range(2)]
    bad = [{"id": 0, "name": "bolt"}, {"id": 1, "name": "two\nlines"}]
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": bad}))
    with pytest.raises(DataError, match="name"), open_project(frames, tmp_path / "work", path):
        pass
    assert not (tmp_path / "work" / "exemplars.json").exists()
    twice = [*images, {"id": 2, "file_name": "0.png"}]
    path.write_text(json.dumps({"images": twice, "annotations": boxes[:1], "categories": bad[:1]}))
    with pytest.raises(DataError, match="given twice"), open_project(frames, tmp_path / "work", path):
        pass


def test_thumbnails_of_narrow_images_and_of_images_that_changed(tmp_path: Path) -> None:
    frames = write_gray_frames(tmp_path / "frames", 1)
    cv2.imwrite(str(frames / "line.png"), np.zeros((1, 3000, 3), np.uint8))
    with serve(frames) as studio:
        assert studio.ask("GET", "api/frames/1/thumbnail")[0] == 200
        before = studio.ask("GET", "api/frames/0/thumbnail")
        cv2.imwrite(str(frames / "0.png"), np.full((240, 320, 3), 200, np.uint8))
        after = studio.ask("GET", "api/frames/0/thumbnail")
        assert before[1]["etag"] != after[1]["etag"]
        assert before[2] != after[2]


def test_an_image_that_browsers_do_not_show_upright_is_sent_as_one_that_they_do(tmp_path: Path) -> None:
    frames = write_gray_frames(tmp_path / "frames", 1)
    tiff = cv2.imencode(".tiff", np.zeros((24, 32, 3), np.uint8))[1].tobytes()
    (frames / "tiff.jpg").write_bytes(tiff)
    with serve(frames) as studio:
        _, headers, sent = studio.ask("GET", "api/frames/1/image")
        assert (headers["content-type"], sent[:4]) == ("image/png", b"\x89PNG")
        deep = np.random.default_rng(0).integers(0, 4096, (24, 32), np.uint16)
        cv2.imwrite(str(frames / "0.png"), deep)
        shown = cv2.imdecode(np.frombuffer(studio.ask("GET", "api/frames/0/image")[2], np.uint8), -1)
        assert (shown.dtype, int(shown.max())) == (np.uint8, 255)
