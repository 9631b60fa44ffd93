"""`edgeloop label` for real: a small scene, nano, and the dataset that comes of it."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO

from edgeloop.edge.scoring.coco import evaluate_boxes, precision_recall
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from edgeloop.labeling.ledger import FrameResult, LabeledRow, Ledger
from edgeloop.models.errors import DataError, UsageError
from tests.calls import Outcome
from tests.labeling.footage import (
    BROKEN,
    DRAWN,
    INDICES,
    Footage,
    Labeled,
    Learned,
    break_off,
    scene_coco,
    tree,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_labels_are_right(labeled: Labeled) -> None:
    """On frames whose boxes nobody drew."""
    indices = [int(image["file_name"][-8:-4]) for image in labeled.coco["images"]]
    own = [index for index in indices if index not in DRAWN]
    truth = scene_coco(labeled.footage.scene, range(0))
    for index in own:
        one = scene_coco(labeled.footage.scene, range(index, index + 1))
        truth["images"] += one["images"]
        truth["annotations"] += one["annotations"]
    frame_of = dict(zip((image["id"] for image in labeled.coco["images"]), indices, strict=True))
    labels = [
        {**label, "image_id": frame_of[label["image_id"]], "category_id": label["category_id"] - 1}
        for label in labeled.coco["annotations"]
        if frame_of[label["image_id"]] in own
    ]
    assert evaluate_boxes(truth, labels).map50 >= 0.6
    assert precision_recall(truth, labels).precision >= 0.7


def test_person_has_the_last_word(labeled: Labeled) -> None:
    """Exemplar frames carry boxes and masks as drawn."""
    coco = labeled.coco
    for index in DRAWN:
        (image,) = (i for i in coco["images"] if i["file_name"].endswith(f"{index:04d}.jpg"))
        own = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
        drawn = scene_coco(labeled.footage.scene, range(index, index + 1))["annotations"]
        assert {a["prompt"] for a in own} <= {"human"}
        assert sorted(a["bbox"] for a in own) == sorted(a["bbox"] for a in drawn)
        masks = [a["segmentation"]["counts"] for a in own if a["mask_from"] == "human"]
        assert sorted(masks) == sorted(a["segmentation"]["counts"] for a in drawn if "segmentation" in a)


def test_split_by_time_with_a_gap(labeled: Labeled) -> None:
    places: dict[str, list[int]] = {split: [] for split in ("train", "val")}
    for image in labeled.coco["images"]:
        places[image["split"]].append(image["frame_index"])
        assert (labeled.dataset / image["file_name"]).is_file()
    assert max(places["train"]) + 1 < min(places["val"])
    images = labeled.report.dataset.images
    assert sum(images.values()) == len(INDICES) - 1
    assert images["gap"] > 0
    assert labeled.coco["info"]["footage"] == {"kind": "film", "groups": 1}


def test_unreadable_frame_is_set_aside_with_its_reason(labeled: Labeled) -> None:
    review = json.loads((labeled.dataset / "review.json").read_text())
    assert [entry["file"] for entry in review["set_aside"]] == [BROKEN]
    assert "cut off" in review["set_aside"][0]["reason"]
    assert labeled.report.dataset.set_aside == 1
    assert not list(labeled.dataset.rglob(BROKEN))


def test_both_formats_say_the_same(labeled: Labeled) -> None:
    """Ultralytics' text files against instances.json, whose masks lie where the boxes are."""
    coco = COCO(str(labeled.dataset / "instances.json"))
    names = yaml.safe_load((labeled.dataset / "data.yaml").read_text())["names"]
    assert list(names.values()) == [c["name"] for c in coco.dataset["categories"]]
    for image in coco.dataset["images"]:
        place = Path("labels", image["split"], Path(image["file_name"]).name)
        text = (labeled.dataset / place).with_suffix(".txt")
        rows = np.array([line.split() for line in text.read_text().splitlines()], float).reshape(-1, 5)
        own = coco.imgToAnns[image["id"]]
        assert rows[:, 0].tolist() == [a["category_id"] - 1 for a in own]
        for row, annotation in zip(rows, own, strict=True):
            x, y, w, h = annotation["bbox"]
            center_and_size = [x + w / 2, y + h / 2, w, h]
            np.testing.assert_allclose(row[1:] * [480, 360, 480, 360], center_and_size, atol=0.01)
            mask = coco.annToMask(annotation).astype(bool)
            columns, lines = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
            assert abs((columns[0] + columns[-1]) / 2 - (x + w / 2)) < 0.3 * w + 2
            assert abs((lines[0] + lines[-1]) / 2 - (y + h / 2)) < 0.3 * h + 2


def test_training_sees_the_same_dataset(labeled: Labeled) -> None:
    """Every image, empty ones included, under the digest that the bundle will carry."""
    dataset = open_dataset(labeled.dataset)
    figures = labeled.report.dataset
    assert dataset.digest == figures.digest == labeled.coco["info"]["digest"]
    assert (len(dataset.train), len(dataset.val)) == (figures.images["train"], figures.images["val"])
    assert sum(len(i.class_id) == 0 for i in (*dataset.train, *dataset.val)) == figures.empty


@pytest.fixture(scope="module")
def whole(
    footage: Footage, few: Path, learned: Learned, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Dataset of a job that nothing interrupts."""
    plan = LabelPlan(few, footage.exemplars, tmp_path_factory.mktemp("whole") / "dataset")
    label_frames(learned.go_on(plan))
    return tree(plan.out)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_interrupted_job_goes_on_and_ends_the_same(
    footage: Footage,
    few: Path,
    learned: Learned,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = learned.go_on(LabelPlan(few, footage.exemplars, tmp_path / "broken"))
    break_off(plan, monkeypatch, after=6)
    assert not plan.out.exists()
    report = label_frames(plan)
    assert report.resumed == 6
    assert tree(plan.out) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_exemplars_changed_while_learning_are_learned_anew(
    footage: Footage, few: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detectors of an interrupted job are not reused with other exemplars."""
    fewer = json.loads(footage.exemplars.read_text())
    fewer["images"] = fewer["images"][:3]
    kept = {image["id"] for image in fewer["images"]}
    fewer["annotations"] = [a for a in fewer["annotations"] if a["image_id"] in kept]
    (tmp_path / "fewer.json").write_text(json.dumps(fewer))
    break_off(LabelPlan(few, tmp_path / "fewer.json", tmp_path / "out"), monkeypatch, after=0)
    label_frames(LabelPlan(few, footage.exemplars, tmp_path / "out"))
    assert tree(tmp_path / "out") == whole


KILLED = """
import os, signal, sys
from pathlib import Path
from edgeloop.labeling.job import label_frames
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.ledger import Ledger
from pytest import MonkeyPatch
from tests.quick_teacher import teach_quickly
teach_quickly(MonkeyPatch(), steps=4)
add, left = Ledger.add, int(sys.argv[4])
def add_or_die(self, row, stamp):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    add(self, row, stamp)
Ledger.add = add_or_die
label_frames(LabelPlan(*map(Path, sys.argv[1:4])))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_killed_job_goes_on_and_ends_the_same(
    footage: Footage, few: Path, learned: Learned, whole: dict[str, bytes], tmp_path: Path
) -> None:
    """kill -9 in the middle of the frames, and half a dataset as if it had been while that was written."""
    plan = learned.go_on(LabelPlan(few, footage.exemplars, tmp_path / "killed"))
    arguments = [str(path) for path in (plan.frames, plan.exemplars, plan.out)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments, "3"], check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert not plan.out.exists()
    (tmp_path / "killed.unfinished" / "dataset" / "images").mkdir(parents=True)
    report = label_frames(plan)
    assert report.resumed == 3
    assert tree(plan.out) == whole


@pytest.mark.slow
def test_other_work_in_progress_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with Ledger(path, {"sam": "mine"}):
        pass
    with Ledger(path, {"sam": "nano"}) as ledger:  # nothing was done under the other name
        ledger.add(LabeledRow(FrameResult(file="a.jpg"), "d1", b""), "1-2")
        with pytest.raises(DataError, match="in use by another run"):
            Ledger(path, {"sam": "nano"})
    with pytest.raises(DataError, match="unfinished work with other sam"):
        Ledger(path, {"sam": "vit_b"})
    with Ledger(path, {"sam": "nano"}) as ledger:
        assert ledger.stamps() == {"a.jpg": ("1-2", "d1")}


@pytest.mark.parametrize("frames", [0, 1])
def test_work_of_another_format_is_told_of_unless_it_is_nothing(frames: int, tmp_path: Path) -> None:
    path = tmp_path / "out.unfinished" / "ledger.sqlite3"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE job (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        db.execute("CREATE TABLE frame (file TEXT PRIMARY KEY, result TEXT NOT NULL) WITHOUT ROWID")
        db.executemany("INSERT INTO frame VALUES (?, ?)", [("a.jpg", "{}")] * frames)
    if frames:
        told = r"out\.unfinished: holds unfinished work of another version of edgeloop; finish it with that"
        with pytest.raises(DataError, match=told):
            Ledger(path, {"sam": "nano"})
        return
    with Ledger(path, {"sam": "nano"}) as ledger:
        ledger.add(LabeledRow(FrameResult(file="a.jpg"), "d1", b""), "1-2")
        assert ledger.stamps() == {"a.jpg": ("1-2", "d1")}


def test_file_that_is_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(b"a letter" * 200)
    with pytest.raises(DataError, match="not a ledger of ours"):
        Ledger(path, {})


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_mistyped_option_can_be_corrected_and_ends_in_a_table_and_json(
    footage: Footage, few: Path, learned: Learned, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    out = learned.go_on(LabelPlan(few, footage.exemplars, tmp_path / "out")).out
    command = "label", few, "-e", footage.exemplars, "-o", out
    refused = edgeloop(*command, "--classifier", "magic")
    assert refused.code == 2
    assert "magic" in refused.err
    done = edgeloop(*command, "--json")
    assert done.code == 0
    figures = json.loads(done.out)
    assert figures["images"] == {"train": 4, "val": 2, "gap": 2}
    assert figures["footage"] == "film: 1 recording"
    assert figures["footage"] in done.err
    assert figures["promise"]["map50"]["low"] <= figures["promise"]["map50"]["high"]
    assert set(figures["labels"]) == set(footage.scene.classes)
    assert all(name in done.err for name in footage.scene.classes)


def test_existing_dataset_is_refused(
    footage: Footage, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    (tmp_path / "out").mkdir()
    done = edgeloop("label", footage.frames, "-e", footage.exemplars, "-o", tmp_path / "out")
    assert (done.code, done.out) == (65, "")
    assert done.err.strip().endswith("exists already; name another folder with -o, or remove it")


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_only_unreadable_frames(
    footage: Footage, learned: Learned, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "x.jpg").write_bytes(b"no image")
    (tmp_path / "images").mkdir()
    for index in DRAWN:
        shutil.copy(footage.frames / f"frame_{index:04d}.jpg", tmp_path / "images")
    (tmp_path / "boxes.json").write_bytes(footage.exemplars.read_bytes())
    plan = learned.go_on(LabelPlan(tmp_path / "frames", tmp_path / "boxes.json", tmp_path / "out"))
    done = edgeloop("label", plan.frames, "-e", plan.exemplars, "-o", plan.out)
    assert done.code == 65
    assert "not one of 1 frames can be read" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("count", ["0", "-1", "two"])
def test_no_such_number_of_workers(
    count: str, footage: Footage, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    command = "label", footage.frames, "-e", footage.exemplars, "-o", tmp_path / "out"
    done = edgeloop(*command, "--workers", count)
    assert (done.code, done.out) == (2, "")
    assert "'--workers'" in done.err
    assert not (tmp_path / "out.unfinished").exists()


def test_no_workers_from_python(footage: Footage, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--workers 0: expected at least 1"):
        label_frames(LabelPlan(footage.frames, footage.exemplars, tmp_path / "out", workers=0))
    assert not (tmp_path / "out.unfinished").exists()
