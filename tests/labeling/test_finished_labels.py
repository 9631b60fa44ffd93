"""Outlines of `--task segment`, and a finished dataset: counted, or written again for the other task."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from edgeloop.edge.frames.folder import read_frames
from edgeloop.edge.labels.label_lines import parse_label_lines
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.labeling.dataset.apply_decisions import apply_decisions
from edgeloop.labeling.dataset.corrected import read_corrected
from edgeloop.labeling.dataset.decisions import ChangeDecision, LabelBox, RightDecision
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.inputs.load import read_inputs
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import job_key, label_frames
from edgeloop.labeling.label_text import label_text, outline_of
from edgeloop.labeling.ledger import FrameResult, Label, LabeledRow, Ledger
from edgeloop.models.errors import DataError, UsageError
from edgeloop.models.task import Task
from tests.calls import Outcome
from tests.labeling.footage import write_gray_frames

SIZE = 100
DISK = (20.0, 20.0, 61.0, 61.0)
BARE = (70.0, 10.0, 90.0, 40.0)


def disk() -> Label:
    canvas = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(canvas, (40, 40), 20, 1, -1)
    counts = rle.encode(np.asfortranarray(canvas))["counts"].decode()
    return Label(xyxy=DISK, class_id=0, score=0.9, counts=counts, prompt="detector", sam_score=0.9)


def bare() -> Label:
    return Label(xyxy=BARE, class_id=0, score=0.8, prompt="detector", sam_score=0.0)


def result(number: int, *labels: Label) -> FrameResult:
    return FrameResult(file=f"{number}.png", width=SIZE, height=SIZE, labels=labels, unsure=(bare(),))


@pytest.fixture
def plan(tmp_path: Path) -> LabelPlan:
    """Job whose frames are all in the ledger, as after an interruption at its end: nothing is learned."""
    frames = write_gray_frames(tmp_path, SIZE)
    plan = LabelPlan(frames, tmp_path / "exemplars.json", tmp_path / "dataset")
    (tmp_path / "dataset.unfinished").mkdir()
    store = FolderStore(frames)
    job = job_key(plan, read_inputs(plan, frames, read_frames(frames)))
    results = [
        result(0, disk(), bare()),
        result(1, disk()),
        result(2),
        FrameResult(file="3.png", problem="too dark"),
    ]
    with Ledger(tmp_path / "dataset.unfinished" / "ledger.sqlite3", job) as ledger:
        for each in results:
            digest = hashlib.sha256(store.read(each.file)).hexdigest()
            ledger.add(LabeledRow(each, digest, b""), store.stamp(each.file))
    return plan


def files(dataset: Path) -> dict[str, bytes]:
    return {str(p.relative_to(dataset)): p.read_bytes() for p in dataset.rglob("*") if p.is_file()}


def lines(dataset: Path, number: int) -> list[np.ndarray]:
    """Points of each label of a frame, px; or center and size."""
    (path,) = dataset.glob(f"labels/*/{number}.txt")
    rows = [np.array(line.split(), float) for line in path.read_text().splitlines()]
    return [row[1:].reshape(-1, 2) * SIZE for row in rows]


def area(counts: str) -> int:
    return int(rle.area({"size": [SIZE, SIZE], "counts": counts}))


def info(dataset: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((dataset / "instances.json").read_text())["info"]
    return told


def test_an_unfinished_job_writes_outlines(plan: LabelPlan) -> None:
    report = label_frames(replace(plan, task="segment"))
    outline, rectangle = lines(plan.out, 0)
    (runs,) = rle.frPyObjects([outline.ravel().tolist()], SIZE, SIZE)
    whole = {"size": [SIZE, SIZE], "counts": disk().counts}
    assert rle.iou([runs], [whole], [0])[0, 0] > 0.97
    np.testing.assert_allclose((*outline.min(axis=0), *outline.max(axis=0)), DISK, atol=1e-3)
    np.testing.assert_allclose(rectangle, [(70, 10), (90, 10), (90, 40), (70, 40)], atol=1e-3)
    assert (report.resumed, report.dataset.rectangles) == (4, 1)
    data = open_dataset(plan.out, task="segment")
    assert info(plan.out)["task"] == "segment"
    assert info(plan.out)["digest"] == data.digest


def test_the_same_command_with_another_task_rewrites_the_labels(plan: LabelPlan) -> None:
    first = label_frames(plan)
    boxes = files(plan.out)
    told: list[str] = []
    second = label_frames(replace(plan, task="segment"), tell=told.append)
    assert told == [f"{plan.out}: is labeled already; its labels are written again as polygons."]
    assert replace(second.dataset, digest="", rectangles=None) == replace(first.dataset, digest="")
    assert (second.footage, second.resumed) == (first.footage, 4)
    assert second.dataset.rectangles == 1
    assert second.dataset.digest == open_dataset(plan.out, task="segment").digest
    changed = {name for name, content in files(plan.out).items() if boxes[name] != content}
    assert changed == {"instances.json", *(n for n in boxes if n.endswith(("/0.txt", "/1.txt")))}
    assert label_frames(plan).dataset == first.dataset
    assert files(plan.out) == boxes


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_the_same_command_finds_nothing_left_to_do(plan: LabelPlan, task: Task) -> None:
    plan = replace(plan, task=task)
    first = label_frames(plan)
    before = files(plan.out)
    told: list[str] = []
    second = label_frames(plan, tell=told.append)
    assert told == [f"{plan.out}: is labeled already; nothing is left to do."]
    assert (second.dataset, second.footage, second.resumed) == (first.dataset, first.footage, 4)
    assert files(plan.out) == before
    with pytest.raises(DataError, match="exists already, labeled with --seed 0, not 1; name another folder"):
        label_frames(replace(plan, seed=1))
    assert [path.name for path in plan.out.parent.glob("dataset*")] == ["dataset"]


def test_a_finished_job_leaves_the_unfinished_work_of_another_alone(plan: LabelPlan) -> None:
    shutil.copytree(plan.out.with_name("dataset.unfinished"), plan.out.with_name("kept"))
    label_frames(plan)
    unfinished = plan.out.with_name("kept").rename(plan.out.with_name("dataset.unfinished"))
    begun = files(unfinished)
    label_frames(plan)
    with pytest.raises(DataError, match="exists already, labeled with --seed 0, not 1"):
        label_frames(replace(plan, seed=1))
    assert files(unfinished) == begun


def test_a_job_that_is_refused_leaves_no_folder(plan: LabelPlan) -> None:
    begun = files(plan.out.with_name("dataset.unfinished"))
    refused = replace(plan, out=plan.out.with_name("other"), weights="none")
    with pytest.raises(UsageError, match="--weights none"):
        label_frames(refused)
    assert not [*plan.out.parent.glob("other*")]
    with pytest.raises(DataError, match="holds unfinished work with other weights"):
        label_frames(replace(refused, out=plan.out))
    assert files(plan.out.with_name("dataset.unfinished")) == begun  # frames are labeled in it


@pytest.mark.parametrize(
    "other",
    ["exemplars", "frames", "confidence", "seed", "val_share", "weights", "footage", "decisions", "labels"],
)
def test_only_the_dataset_of_the_same_job_is_rewritten(plan: LabelPlan, other: str, tmp_path: Path) -> None:
    label_frames(plan)
    told = "exists already, labeled from other frames or exemplars; name another folder"
    if other == "exemplars":
        path = tmp_path / "exemplars.json"
        path.write_text(path.read_text().replace("[10, 20, 40", "[11, 20, 40"))
    elif other == "frames":
        cv2.imwrite(str(tmp_path / "frames" / "4.png"), np.zeros((SIZE, SIZE, 3), np.uint8))
    elif other == "confidence":
        plan, told = replace(plan, confidence=0.7), "labeled with --confidence 0.5, not 0.7; name another"
    elif other == "seed":
        plan, told = replace(plan, seed=1), "labeled with --seed 0, not 1; name another folder"
    elif other == "val_share":
        plan, told = replace(plan, val_share=0.5, seed=1), "--val-share 0.2, not 0.5, --seed 0, not 1; name"
    elif other == "weights":
        plan, told = replace(plan, weights="objects"), "labeled with --weights none, not objects; name"
    elif other == "footage":
        kind = info(plan.out)["footage"]["kind"]
        plan = replace(plan, footage="photos" if kind == "film" else "film")
        told = f"labeled as {kind}, not {plan.footage}; name another folder"
    elif other == "decisions":
        line = RightDecision(batch=1, file="0.png", box=LabelBox(name="bolt", xyxy=DISK)).model_dump_json()
        (tmp_path / "decisions.jsonl").write_text(f"{line}\n")
        plan, told = (
            replace(plan, decisions=tmp_path / "decisions.jsonl"),
            "labeled with other --decisions; name",
        )
    else:
        (path,) = plan.out.glob("labels/*/1.txt")
        path.write_text("0 0.5 0.5 0.1 0.1\n")
        told = "edited in another tool"
    before = files(plan.out)
    with pytest.raises(DataError, match=told):
        label_frames(replace(plan, task="segment"))
    assert files(plan.out) == before


def test_a_corrected_box_has_an_outline(plan: LabelPlan) -> None:
    label_frames(replace(plan, task="segment"))
    to = LabelBox(name="bolt", xyxy=(20, 20, 60, 60))
    other = LabelBox(name="bolt", xyxy=(10, 60, 30, 90))
    apply_decisions(
        plan.out,
        [
            ChangeDecision(batch=1, file="0.png", box=LabelBox(name="bolt", xyxy=DISK), to=to),
            ChangeDecision(batch=2, file="1.png", box=LabelBox(name="bolt", xyxy=DISK), to=other),
        ],
    )
    _, outline = lines(plan.out, 0)  # nearly the box that was found, so the mask is still its own
    assert len(outline) > 8
    np.testing.assert_allclose((*outline.min(axis=0), *outline.max(axis=0)), to.xyxy, atol=1e-3)
    (rectangle,) = lines(plan.out, 1)  # another place, of which no mask is known
    np.testing.assert_allclose(rectangle, [(10, 60), (30, 60), (30, 90), (10, 90)], atol=1e-3)
    assert info(plan.out)["digest"] == open_dataset(plan.out, task="segment").digest


def test_an_outline_is_as_large_as_its_box() -> None:
    """The mask is of another size than the box, which knows better."""
    box = (18.0, 22.5, 64.0, 60.0)
    own = result(0, disk().model_copy(update={"xyxy": box}))
    outline = outline_of(own.labels[0], own)
    assert outline is not None
    np.testing.assert_allclose((*outline.min(axis=0), *outline.max(axis=0)), box)
    rows = parse_label_lines(
        label_text(own, "segment").text.encode(), Path("0.txt"), ["bolt"], LabelProblems(), named_in=""
    )
    x, y, width, height = rows.cxcywh[0] * SIZE
    np.testing.assert_allclose((x - width / 2, y - height / 2, x + width / 2, y + height / 2), box, atol=1e-3)


def test_edited_outlines_are_taken_back(plan: LabelPlan, tmp_path: Path) -> None:
    label_frames(replace(plan, task="segment"))
    (path,) = plan.out.glob("labels/*/1.txt")
    whole = path.read_text()
    path.write_text("0 0.1 0.1 0.4 0.1 0.4 0.5\n")
    _, frames = read_corrected(plan.out, tmp_path / "frames")
    assert [frame.path.name for frame in frames] == ["1.png"]
    np.testing.assert_allclose(frames[0].xyxy, [(10, 10, 40, 50)], atol=1e-3)
    assert area(frames[0].masks[0]) == pytest.approx(600, rel=0.05)
    x1, y1, x2, y2 = np.divide(DISK, SIZE)
    path.write_text(f"0 {x1} {y1} {x2} {y1} {x1} {y2}\n")  # of the same extent
    _, frames = read_corrected(plan.out, tmp_path / "frames")
    assert [(frame.path.name, [*frame.masks]) for frame in frames] == [("1.png", [0])]
    numbers = " ".join(f"{float(number):.5g}" for number in whole.split())
    path.write_text(f"{numbers}\n")  # another tool wrote it again
    with pytest.raises(DataError, match="no corrected frame"):
        read_corrected(plan.out, tmp_path / "frames")


def test_the_command_says_what_has_no_mask(plan: LabelPlan, edgeloop: Callable[..., Outcome]) -> None:
    words = ("label", plan.frames, "-e", plan.exemplars, "-o", plan.out, "--json")
    done = edgeloop(*words, "--task", "segment")
    assert done.code == 0
    assert "labels without a mask, whose polygon is the rectangle of their box: 1; training takes" in done.err
    assert "another --sam, or draw" in done.err
    assert "frames/s" not in done.err  # none was left
    assert json.loads(done.out)["rectangles"] == 1
    done = edgeloop(*words)
    assert "rectangles" not in json.loads(done.out)
    assert done.code == 0
