"""API of frames and boxes: summaries, frames that cannot be read, and the file behind it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeloop.labeling.studio.exemplar_file import ConflictError, DrawnBox, DrawnFrame, ExemplarFile
from edgeloop.models.errors import DataError
from tests.labeling.studio.serving import Serving

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
