"""Reading a person's boxes: what is good, and one clear line for each thing that is not."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from edgeloop.labeling.inputs.exemplars import read_exemplars
from edgeloop.labeling.inputs.load import read_inputs
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.models.errors import DataError, NoInputError

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Two frames of 100x80, the second of them cut off."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("one.jpg", "half.jpg"):
        cv2.imwrite(str(folder / name), np.full((80, 100, 3), 90, np.uint8))
    half = folder / "half.jpg"
    half.write_bytes(half.read_bytes()[:-200])
    return folder


def written(folder: Path, edit: Edit = lambda _: None) -> Path:
    coco: dict[str, Any] = {
        "images": [{"id": 7, "file_name": "one.jpg"}],
        "categories": [{"id": 3, "name": "bolt"}, {"id": 5, "name": "_ignore"}, {"id": 9, "name": "gear"}],
        "annotations": [
            {"image_id": 7, "category_id": 9, "bbox": [10, 20, 30, 40]},
            {"image_id": 7, "category_id": 5, "bbox": [0, 0, 5, 5]},
            {"image_id": 7, "category_id": 3, "bbox": [90, 70, 11, 10.5]},
        ],
    }
    edit(coco)
    path = folder / "exemplars.json"
    path.write_text(json.dumps(coco))
    return path


def test_boxes_and_classes(tmp_path: Path, frames: Path) -> None:
    exemplars = read_exemplars(written(tmp_path), frames)
    assert exemplars.names == ("bolt", "gear")
    (frame,) = exemplars.frames
    assert frame.path == (frames / "one.jpg").resolve()
    assert frame.class_id.tolist() == [1, -1, 0]
    # The last box sticks out by a pixel, as drawing tools let it, and is cut off at the border.
    assert frame.xyxy.tolist() == [[10, 20, 40, 60], [0, 0, 5, 5], [90, 70, 100, 80]]


def test_image_beside_the_json(tmp_path: Path, frames: Path) -> None:
    (tmp_path / "images").mkdir()
    (frames / "one.jpg").rename(tmp_path / "images" / "one.jpg")
    exemplars = read_exemplars(written(tmp_path), frames)
    assert exemplars.frames[0].path == (tmp_path / "images" / "one.jpg").resolve()


def test_class_without_a_box_is_no_class(
    tmp_path: Path, frames: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, lambda coco: coco["annotations"].pop())
    with caplog.at_level(logging.WARNING, logger="edgeloop.labeling"):
        assert read_exemplars(path, frames).names == ("gear",)
    assert "no box of bolt" in caplog.text


def test_frame_without_boxes_is_background(tmp_path: Path, frames: Path) -> None:
    cv2.imwrite(str(frames / "empty.jpg"), np.zeros((80, 100, 3), np.uint8))
    path = written(tmp_path, lambda coco: coco["images"].append({"id": 8, "file_name": "empty.jpg"}))
    assert [len(frame.xyxy) for frame in read_exemplars(path, frames).frames] == [3, 0]


def box(*xywh: float) -> Edit:
    return lambda coco: coco["annotations"][0].update(bbox=list(xywh))


def annotation(**changes: int) -> Edit:
    return lambda coco: coco["annotations"][0].update(changes)


def image(file_name: str) -> Edit:
    return lambda coco: coco["images"][0].update(file_name=file_name)


def category(**changes: object) -> Edit:
    return lambda coco: coco["categories"][0].update(changes)


def size(width: int, height: int) -> Edit:
    return lambda coco: coco["images"][0].update(width=width, height=height)


def drop(key: str) -> Edit:
    return lambda coco: coco["annotations"][0].pop(key)


def mask(size: list[int], counts: list[int]) -> Edit:
    return lambda coco: coco["annotations"][0].update(bbox=[], segmentation={"size": size, "counts": counts})


def only(*rows: int) -> Edit:
    return lambda coco: coco.update(annotations=[coco["annotations"][row] for row in rows])


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        pytest.param(image("x.jpg"), "image x.jpg is neither", id="no image"),
        pytest.param(image("half.jpg"), "not an image", id="half an image"),
        pytest.param(lambda c: c["images"].append({**c["images"][0], "id": 8}), "twice", id="image twice"),
        pytest.param(annotation(category_id=4), "category_id 4", id="unknown category"),
        pytest.param(annotation(image_id=8), "image_id 8", id="unknown image"),
        pytest.param(annotation(iscrowd=1), "iscrowd", id="crowd"),
        pytest.param(box(90, 20, 30, 40), "outside", id="box outside"),
        pytest.param(box(10, 20, -1, 40), "width and height of 0 or more, got -1 x 40", id="negative width"),
        pytest.param(size(200, 160), "drawn on 200x160, but the image is 100x80", id="another size"),
        pytest.param(size(80, 100), "turned by its EXIF", id="turned"),
        pytest.param(mask([100, 80], [8000]), "drawn on 80x100", id="mask of another size"),
        pytest.param(drop("bbox"), "annotations.0.: bbox: Field required", id="no box"),
        pytest.param(mask([80, 100], [9]), "do not add up to 100x80", id="broken mask without box"),
        pytest.param(box(1, 2, 3), "bbox", id="box of three numbers"),
        pytest.param(box(1, 2, 3, float("nan")), "bbox", id="box of nan"),
        pytest.param(only(), "no box of a class to label", id="no boxes"),
        pytest.param(only(1), "no box of a class to label", id="only _ignore"),
        pytest.param(category(name="gear"), "only once", id="name twice"),
        pytest.param(category(id=9), "only once", id="id twice"),
        pytest.param(lambda c: c.pop("categories"), "categories: Field required", id="not COCO"),
    ],
)
def test_bad_exemplars(tmp_path: Path, frames: Path, edit: Edit, words: str) -> None:
    with pytest.raises(DataError, match=words) as refused:
        read_exemplars(written(tmp_path, edit), frames)
    assert "exemplars.json" in str(refused.value) or "half.jpg" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_json(tmp_path: Path, frames: Path) -> None:
    with pytest.raises(NoInputError, match="cannot be read"):
        read_exemplars(tmp_path / "nothing.json", frames)
    (tmp_path / "text.json").write_text("boxes")
    with pytest.raises(DataError, match="not a COCO json"):
        read_exemplars(tmp_path / "text.json", frames)


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    folder = tmp_path / "yolo"
    folder.mkdir()
    (folder / "classes.txt").write_text("bolt\n_ignore\ngear\n")
    (folder / "one.txt").write_text(
        "2 0.25 0.5 0.3 0.5\n1 0.025 0.03125 0.05 0.0625\n\n0 0.95 0.9375 0.1 0.125\n"
    )
    return folder


def test_yolo_text_says_the_same_as_coco(tmp_path: Path, frames: Path, yolo: Path) -> None:
    by_text, by_coco = read_exemplars(yolo, frames), read_exemplars(written(tmp_path), frames)
    assert by_text.names == by_coco.names
    (one,), (other,) = by_text.frames, by_coco.frames
    assert one.path == other.path
    assert one.class_id.tolist() == other.class_id.tolist()
    np.testing.assert_allclose(one.xyxy, other.xyxy, atol=0.01)


def test_empty_text_is_a_frame_without_objects(frames: Path, yolo: Path) -> None:
    cv2.imwrite(str(frames / "two.jpg"), np.zeros((80, 100, 3), np.uint8))
    (yolo / "two.txt").write_text("")
    assert [len(frame.xyxy) for frame in read_exemplars(yolo, frames).frames] == [3, 0]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("bolt 0.5 0.5 0.1 0.1", r"one\.txt:1: expected a class number and x y", id="a name"),
        pytest.param("0 0.5 0.5 0.1", r"one\.txt:1: expected a class number and x y", id="short"),
        pytest.param(
            "7 0.5 0.5 0.1 0.1",
            r"one\.txt:1: class 7 is out of range; classes\.txt names 3",
            id="unknown class",
        ),
        pytest.param("0 50 40 10 10", r"one\.txt:1: expected a class number and x y", id="pixels"),
        pytest.param("0 nan 0.5 0.1 0.1", r"one\.txt:1: expected a class number and x y", id="not a number"),
    ],
)
def test_bad_yolo_lines_are_named(frames: Path, yolo: Path, line: str, told: str) -> None:
    (yolo / "one.txt").write_text(line)
    with pytest.raises(DataError, match=told):
        read_exemplars(yolo, frames)


def test_yolo_folder_without_names_or_images(frames: Path, yolo: Path) -> None:
    (yolo / "other.txt").write_text("")
    with pytest.raises(DataError, match="there is no image other"):
        read_exemplars(yolo, frames)
    (yolo / "classes.txt").unlink()
    with pytest.raises(NoInputError, match=r"has no classes\.txt"):
        read_exemplars(yolo, frames)


def test_a_label_that_is_given_twice_counts_once(
    tmp_path: Path, frames: Path, yolo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, lambda coco: coco["annotations"].append(coco["annotations"][0]))
    (yolo / "one.txt").write_text("2 0.25 0.5 0.3 0.5\n" * 2)
    with caplog.at_level(logging.WARNING, logger="edgeloop"):
        assert len(read_exemplars(path, frames).frames[0].xyxy) == 3
        assert len(read_exemplars(yolo, frames).frames[0].xyxy) == 1
    assert caplog.text.count("1 labels are given twice and count once") == 2


@pytest.mark.parametrize("order", [1, -1])
def test_a_box_and_a_polygon_of_the_same_extent_are_one_object(
    tmp_path: Path, frames: Path, yolo: Path, caplog: pytest.LogCaptureFixture, order: int
) -> None:
    def both(coco: dict[str, Any]) -> None:
        (box, *_) = coco["annotations"]
        coco["annotations"] = [box, {**box, "segmentation": [[10, 20, 40, 20, 10, 60]]}][::order]

    lines = ["0 0.25 0.5 0.3 0.5", "0 0.1 0.25 0.4 0.25 0.1 0.75"][::order]
    (yolo / "one.txt").write_text("\n".join(lines))
    with caplog.at_level(logging.WARNING, logger="edgeloop"):
        for path in (written(tmp_path, both), yolo):
            (frame,) = read_exemplars(path, frames).frames
            assert ([*frame.masks], len(frame.xyxy)) == ([0], 1)
    assert caplog.text.count("1 labels are given twice and count once") == 2


def test_a_box_of_a_polygon_or_a_mask(tmp_path: Path, frames: Path) -> None:
    def edit(coco: dict[str, Any]) -> None:
        polygon, brush, _ = coco["annotations"]
        polygon.update(bbox=None, segmentation=[[10, 20, 40, 20, 40, 60, 10, 60]])
        brush.update(bbox=None, iscrowd=1)
        brush["segmentation"] = {"size": [80, 100], "counts": [0, 5, *([75, 5] * 4), 8000 - 5 - 4 * 80]}

    exemplars = read_exemplars(written(tmp_path, edit), frames)
    assert exemplars.frames[0].xyxy.tolist() == [[10, 20, 40, 60], [0, 0, 5, 5], [90, 70, 100, 80]]


BOX = [10, 20, 40, 60]


def brush(height: int, spared: int = 0) -> dict[str, Any]:
    """Mask in a frame of 100x80 of the upper rows of BOX, without the last pixels."""
    columns = [820, *([height, 80 - height] * 29), height - spared]
    return {"size": [80, 100], "counts": [*columns, 8000 - sum(columns)]}


@pytest.mark.parametrize(
    ("segmentation", "area", "noted"),
    [
        pytest.param([[10, 20, 40, 20, 10, 60]], 600, False, id="polygon"),
        pytest.param(
            [[10, 20, 25, 20, 25, 60, 10, 60], [30, 20, 40, 20, 40, 60]], 800, False, id="two parts"
        ),
        pytest.param(brush(40, 10), 30 * 40 - 10, False, id="brush"),
        pytest.param(brush(40), None, False, id="filled box"),
        pytest.param(brush(10), None, True, id="brush elsewhere"),
        pytest.param([[10, 20, 40, 20, 40, 60, 10, 60]], None, False, id="box"),
        pytest.param([[25, 20, 40, 35, 25, 50, 10, 35]], None, False, id="turned box"),
        pytest.param([], None, False, id="nothing"),
        pytest.param([[10, 20, 40, 20]], None, True, id="line"),
        pytest.param([["ten"] * 8], None, True, id="words"),
        pytest.param([[10, 20, 40, 20, 10, 60], None], 600, False, id="null for a part"),
        pytest.param([[50, 20, 80, 20, 50, 60]], None, True, id="elsewhere"),
    ],
)
def test_a_mask_that_a_person_drew_is_kept(
    tmp_path: Path,
    frames: Path,
    segmentation: Any,
    area: int | None,
    noted: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A rectangle is what tools write for a box."""
    changes = {"bbox": [10, 20, 30, 40], "segmentation": segmentation}
    with caplog.at_level(logging.WARNING, logger="edgeloop"):
        read = read_exemplars(written(tmp_path, lambda coco: coco["annotations"][1].update(changes)), frames)
    masks = {
        row: int(rle.area({"size": [80, 100], "counts": own})) for row, own in read.frames[0].masks.items()
    }
    assert masks == ({} if area is None else {1: pytest.approx(area, rel=0.05)})
    assert ("elsewhere than their boxes" in caplog.text) is noted
    assert read.frames[0].xyxy[1].tolist() == BOX


def test_polygons_of_text_files_are_masks(frames: Path, yolo: Path, caplog: pytest.LogCaptureFixture) -> None:
    (yolo / "one.txt").write_text("2 0.25 0.5 0.3 0.5\n0 0.1 0.25 0.4 0.25 0.1 0.75\n")
    with caplog.at_level(logging.WARNING, logger="edgeloop"):
        (frame,) = read_exemplars(yolo, frames).frames
    assert [*frame.masks] == [1]
    assert rle.area({"size": [80, 100], "counts": frame.masks[1]}) == pytest.approx(600, rel=0.05)
    assert frame.xyxy[1].tolist() == pytest.approx(BOX)
    assert "as their boxes" not in caplog.text


@pytest.mark.parametrize(
    ("names", "place"),
    [
        pytest.param("classes.txt", "labels", id="Label Studio"),
        pytest.param("labels/classes.txt", "labels", id="labelImg"),
        pytest.param("obj.names", "obj_train_data", id="CVAT"),
        pytest.param("data.yaml", "train/labels", id="Roboflow"),
        pytest.param("bolts.yaml", "train/labels", id="Ultralytics"),
    ],
)
def test_folders_of_tools(frames: Path, yolo: Path, names: str, place: str) -> None:
    expected = read_exemplars(yolo, frames)
    (yolo / place).mkdir(parents=True)
    (yolo / "one.txt").rename(yolo / place / "0a1b2c3d-one.txt")
    for litter in ("._0a1b2c3d-one.txt", "@eaDir/one.txt"):
        (yolo / place / litter).parent.mkdir(exist_ok=True)
        (yolo / place / litter).write_bytes(b"\0\x05")
    text = "names: [bolt, _ignore, gear]" if "yaml" in names else "\ufeffbolt\r\n_ignore\r\ngear\r\n"
    (yolo / "classes.txt").unlink()
    (yolo / names).write_text(text, newline="")
    read = read_exemplars(yolo, frames)
    assert read.names == expected.names
    assert read.frames[0].path == expected.frames[0].path
    assert read.frames[0].xyxy.tolist() == expected.frames[0].xyxy.tolist()


@pytest.mark.parametrize(
    ("boxes", "image", "names"),
    [
        pytest.param("labels/one.txt", "images/one.jpg", "classes.txt", id="Label Studio"),
        pytest.param("obj_train_data/one.txt", "obj_train_data/one.jpg", "obj.names", id="CVAT YOLO"),
        pytest.param("annotations/x.json", "images/one.jpg", "", id="CVAT COCO"),
        pytest.param("train/_annotations.coco.json", "train/one.jpg", "", id="Roboflow COCO"),
    ],
)
def test_images_of_an_export_are_no_crops(
    tmp_path: Path, frames: Path, yolo: Path, boxes: str, image: str, names: str
) -> None:
    folder = tmp_path / "export"
    for name in (boxes, image):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (frames / "one.jpg").rename(folder / image)
    if names:
        (yolo / "classes.txt").rename(folder / names)
    (yolo / "one.txt" if names else written(tmp_path)).rename(folder / boxes)
    inputs = read_inputs(LabelPlan(frames, folder, tmp_path / "out"), frames, [])
    assert [frame.class_id.tolist() for frame in inputs.drawn] == [[1, -1, 0]]


def test_a_folder_with_one_json(tmp_path: Path, frames: Path) -> None:
    folder = tmp_path / "export"
    (folder / "annotations").mkdir(parents=True)
    written(tmp_path).rename(folder / "annotations" / "instances_default.json")
    assert read_exemplars(folder, frames).names == ("bolt", "gear")
    (folder / "annotations" / "other.json").write_text("{}")
    with pytest.raises(DataError, match=r"instances_default\.json and annotations/other\.json; name one of"):
        read_exemplars(folder, frames)


@pytest.mark.parametrize("row", [0, 3])
def test_an_unused_category_of_the_name_of_another(tmp_path: Path, frames: Path, row: int) -> None:
    unused = {"id": 0, "name": "gear", "supercategory": "none"}
    path = written(tmp_path, lambda coco: coco["categories"].insert(row, unused))
    exemplars = read_exemplars(path, frames)
    assert sorted(exemplars.names) == ["bolt", "gear"]
    assert exemplars.names[exemplars.frames[0].class_id[0]] == "gear"


def test_the_image_that_a_label_file_belongs_to(frames: Path, yolo: Path) -> None:
    cv2.imwrite(str(yolo / "one.jpg"), np.full((40, 50, 3), 9, np.uint8))
    assert read_exemplars(yolo, frames).frames[0].path == (yolo / "one.jpg").resolve()
    (yolo / "one.jpg").write_bytes((frames / "one.jpg").read_bytes())
    assert read_exemplars(yolo, frames).frames[0].path == (frames / "one.jpg").resolve()


def test_a_recoded_frame_is_the_frame(frames: Path, yolo: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (2, 8, 10, 3), np.uint8)
    one, other = (cv2.resize(own, (100, 80), interpolation=cv2.INTER_CUBIC) for own in noise)
    cv2.imwrite(str(frames / "one.jpg"), one)
    cv2.imwrite(str(yolo / "one.jpg"), one, [cv2.IMWRITE_JPEG_QUALITY, 40])
    assert read_exemplars(yolo, frames).frames[0].path == (frames / "one.jpg").resolve()
    cv2.imwrite(str(yolo / "one.jpg"), other)
    assert read_exemplars(yolo, frames).frames[0].path == (yolo / "one.jpg").resolve()


def test_only_an_image_of_the_same_stem_belongs_to_a_label_file(frames: Path, yolo: Path) -> None:
    cv2.imwrite(str(yolo / "one.edited.jpg"), np.full((40, 50, 3), 9, np.uint8))
    assert read_exemplars(yolo, frames).frames[0].path == (frames / "one.jpg").resolve()
    for name, value in (("one.jpg", 9), ("one.png", 99)):
        cv2.imwrite(str(yolo / name), np.full((40, 50, 3), value, np.uint8))
    with pytest.raises(DataError, match=r"one\.jpg and .*one\.png are different files"):
        read_exemplars(yolo, frames)


def test_lists_and_notes_are_labels_if_an_image_is_named_so(frames: Path, yolo: Path) -> None:
    for name in ("test.txt", "readme.roboflow.txt", "predefined_classes.txt"):
        (yolo / name).write_text("words")
    assert len(read_exemplars(yolo, frames).frames) == 1
    for place, name in ((frames, "test"), (yolo, "readme.roboflow"), (frames, "classes")):
        cv2.imwrite(str(place / f"{name}.jpg"), np.zeros((80, 100, 3), np.uint8))
        (yolo / f"{name}.txt").write_text(
            "bolt\n_ignore\ngear\n" if name == "classes" else "0 0.5 0.5 0.1 0.1\n"
        )
    assert len(read_exemplars(yolo, frames).frames) == 3


def test_labels_that_are_a_link_to_nothing(frames: Path, yolo: Path) -> None:
    (yolo / "half.txt").symlink_to("gone.txt")
    with pytest.raises(DataError, match=r"half\.txt: cannot be read"):
        read_exemplars(yolo, frames)
