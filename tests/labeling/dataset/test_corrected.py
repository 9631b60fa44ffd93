"""A dataset that a person corrected is taken back, and its boxes stay as they are."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.labeling.dataset.corrected import read_corrected
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from edgeloop.models.errors import DataError
from edgeloop.models.weights.digest import BoxesDigest

NAMES = ["bolt", "nut"]
SIZE = 100
BOX = (10.0, 20.0, 40.0, 40.0)  # xywh of the only label of a frame, of class 0
LINE = "0 0.300000 0.400000 0.400000 0.400000\n"


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(4):
        image = np.full((SIZE, SIZE, 3), 60 * number, np.uint8)
        cv2.imwrite(str(folder / f"f{number}.png"), image)
    return folder


@pytest.fixture
def dataset(frames: Path, tmp_path: Path) -> Path:
    """Dataset as `edgeloop label` writes it, with f0 drawn by a person."""
    folder = tmp_path / "dataset"
    images, annotations = [], []
    for number in range(4):
        for place in ("images", "labels"):
            (folder / place / "train").mkdir(parents=True, exist_ok=True)
        name = f"images/train/f{number}.png"
        (folder / name).write_bytes((frames / f"f{number}.png").read_bytes())
        (folder / "labels" / "train" / f"f{number}.txt").write_text(LINE)
        origin = {"source": "a", "frame_index": number, "split": "train"}
        images.append({"id": number, "file_name": name, "width": SIZE, "height": SIZE, **origin})
        label = {"image_id": number, "category_id": 1, "bbox": BOX, "score": 0.9}
        annotations.append({"id": number, **label, "prompt": "detector" if number else "human"})
    (folder / "images" / "val").mkdir()
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {NAMES}\n")
    categories = [{"id": number, "name": name} for number, name in enumerate(NAMES, start=1)]
    boxes = BoxesDigest()
    for image in images:
        boxes.add(str(image["file_name"]), "bolt", BOX)
    info = {"digest": open_dataset(folder).digest, "boxes_digest": boxes.hexdigest()}
    coco = {"info": info, "images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(coco))
    return folder


def move_box(dataset: Path, number: int) -> None:
    """Edit instances.json as COCO tools do, which know no prompts and scores."""
    coco = json.loads((dataset / "instances.json").read_text())
    del coco["annotations"][number]["prompt"], coco["annotations"][number]["score"]
    coco["annotations"][number]["bbox"] = [0, 0, 40, 40]
    (dataset / "instances.json").write_text(json.dumps(coco))


def taken(path: Path, frames: Path) -> dict[str, list[tuple[int, ...]]]:
    """(class, x1, y1, x2, y2) of the frames that are taken back."""
    names, found = read_corrected(path, frames)
    assert [*names] == NAMES
    assert all(frame.path.parent == frames.resolve() for frame in found)
    return {
        frame.path.stem: [
            (number, *map(round, box))
            for number, box in zip(frame.class_id.tolist(), frame.xyxy.tolist(), strict=True)
        ]
        for frame in found
    }


def test_of_our_own_dataset_what_was_edited_counts(dataset: Path, frames: Path) -> None:
    labels = dataset / "labels" / "train"
    assert taken(dataset, frames) == {"f0": [(0, 10, 20, 50, 60)]}
    (labels / "f1.txt").write_text("1" + LINE[1:])
    (labels / "f2.txt").write_text("")
    (labels / "f3.txt").write_text("0.0 0.301 0.4 0.4 0.4")
    assert taken(dataset, frames) == {
        "f0": [(0, 10, 20, 50, 60)],
        "f1": [(1, 10, 20, 50, 60)],
        "f2": [],
    }


@pytest.mark.parametrize("edited", ["data.yaml", "instances.json"])
def test_a_class_that_was_renamed_is_no_edit_of_its_labels(dataset: Path, frames: Path, edited: str) -> None:
    path = dataset / edited
    path.write_text(path.read_text().replace("bolt", "screw"))
    names, boxed = read_corrected(dataset if edited == "data.yaml" else path, frames)
    assert names == ("screw", "nut")
    assert [frame.path.name for frame in boxed] == ["f0.png"]
    assert boxed[0].class_id.tolist() == [0]


def test_of_an_export_every_frame_counts(dataset: Path, frames: Path) -> None:
    (dataset / "instances.json").unlink()
    (dataset / "labels" / "train" / "f1.txt").unlink()
    for image in (dataset / "images" / "train").iterdir():  # compressed anew, and renamed
        cv2.imwrite(str(image.with_name(f"0a1b2c3d-{image.stem}.jpg")), cv2.imread(str(image)))
        image.unlink()
    for label in [*(dataset / "labels" / "train").iterdir()]:
        label.rename(label.with_name(f"0a1b2c3d-{label.name}"))
    box = [(0, 10, 20, 50, 60)]
    assert taken(dataset, frames) == {"f0": box, "f2": box, "f3": box, "f1": []}


def test_of_a_json_of_another_tool_every_frame_counts(dataset: Path, frames: Path) -> None:
    path = dataset / "instances.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "info": {}}))
    shutil.rmtree(dataset / "labels")
    assert len(taken(path, frames)) == 4


@pytest.mark.parametrize("with_text", [True, False])
def test_of_our_own_json_what_was_edited_counts(dataset: Path, frames: Path, with_text: bool) -> None:
    path = dataset / "instances.json"
    if not with_text:
        shutil.rmtree(dataset / "labels")
    assert [*taken(path, frames)] == ["f0"]
    path.write_text(path.read_text().replace('"human"', '"detector"'))
    with pytest.raises(DataError, match="nothing is taken back"):
        read_corrected(path, frames)
    move_box(dataset, 1)
    found = taken(path, frames)
    assert found["f1"] == [(0, 0, 0, 40, 40)]
    assert len(found) == (1 if with_text else 4)


def test_what_was_edited_must_be_given(dataset: Path, frames: Path) -> None:
    path, label = dataset / "instances.json", dataset / "labels" / "train" / "f2.txt"
    move_box(dataset, 1)
    with pytest.raises(DataError, match=r"instances\.json was edited, labels/ was not; give .*json$"):
        read_corrected(dataset, frames)
    label.write_text("")
    for given in (dataset, path):
        with pytest.raises(DataError, match="were both edited; restore one"):
            read_corrected(given, frames)


def test_edited_text_is_not_taken_from_the_json(dataset: Path, frames: Path) -> None:
    (dataset / "labels" / "train" / "f2.txt").write_text("")
    with pytest.raises(DataError, match=r"labels/ was edited, instances\.json was not; give .*dataset$"):
        read_corrected(dataset / "instances.json", frames)


def test_a_label_that_was_written_twice_is_no_edit(dataset: Path, frames: Path) -> None:
    path = dataset / "instances.json"
    coco = json.loads(path.read_text())
    coco["annotations"].append({**coco["annotations"][1], "id": 9})
    coco["info"] = {}
    path.write_text(json.dumps(coco))
    (dataset / "labels" / "train" / "f1.txt").write_text(2 * LINE)
    assert [*taken(dataset, frames)] == ["f0"]


def test_a_mirrored_copy_is_left_out(dataset: Path, frames: Path, caplog: pytest.LogCaptureFixture) -> None:
    (dataset / "instances.json").unlink()
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8), (0, 0), 5)
    for number, copy in ((1, image[:, ::-1]), (2, image)):
        cv2.imwrite(str(frames / f"f{number}.png"), image)
        for kind, suffix in (("images", ".png"), ("labels", ".txt")):
            path = dataset / kind / "train" / f"f{number}{suffix}"
            path.rename(path.with_name(f"f{number}_png.rf.0123456789abcdef{suffix}"))
        place = dataset / "images" / "train"
        (place / f"f{number}_png.rf.0123456789abcdef.png").unlink()
        cv2.imwrite(str(place / f"f{number}_png.rf.0123456789abcdef.jpg"), np.ascontiguousarray(copy))
    with caplog.at_level(logging.WARNING, logger="edgeloop"):
        assert {*taken(dataset, frames)} == {"f0", "f2", "f3"}
    assert "1 images look unlike the frames of their names" in caplog.text


def test_other_images_are_left_out_with_a_word(
    dataset: Path, frames: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (dataset / "instances.json").unlink()
    for number in range(3):
        (frames / f"f{number}.png").unlink()
    with caplog.at_level(logging.WARNING, logger="edgeloop"):
        assert [*taken(dataset, frames)] == ["f3"]
    assert "3 images are none of the frames" in caplog.text
    (frames / "f3.png").unlink()
    with pytest.raises(DataError, match="nothing is taken back"):
        read_corrected(dataset, frames)


def test_another_size_is_refused(dataset: Path, frames: Path) -> None:
    cv2.imwrite(str(frames / "f0.png"), np.zeros((50, 50, 3), np.uint8))
    with pytest.raises(DataError, match=r"corrected on 100x100, but the frame .* is 50x50"):
        read_corrected(dataset, frames)


@pytest.mark.slow
def test_a_correction_wins_in_every_later_run(
    dataset: Path, frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeloop.labeling.engine.members._MAX_STEPS", 4)
    (dataset / "labels" / "train" / "f1.txt").write_text("1 0.5 0.5 0.2 0.2\n0 0.2 0.2 0.1 0.1\n")
    (dataset / "labels" / "train" / "f2.txt").write_text("")
    before = dataset
    for number in range(2):
        out = tmp_path / f"out{number}"
        label_frames(LabelPlan(frames, None, out, corrected=before, val_share=0))
        assert (out / "labels" / "train" / "f2.txt").read_text() == ""
        told = json.loads((out / "instances.json").read_text())
        ids = {image["id"]: Path(image["file_name"]).stem for image in told["images"]}
        own = [a for a in told["annotations"] if ids[a["image_id"]] == "f1"]
        assert {a["prompt"] for a in own} == {"human"}
        assert sorted(a["bbox"] for a in own) == [[15, 15, 10, 10], [40, 40, 20, 20]]
        before = out
