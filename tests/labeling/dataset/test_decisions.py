"""Decisions of a person hold against whatever a run finds, can be undone, and survive a crash."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.frames.folder import FrameEntry, read_frames
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.labeling.dataset import apply_decisions as on_disk
from edgeloop.labeling.dataset.apply_decisions import ORIGINALS, apply_decisions, is_applied
from edgeloop.labeling.dataset.corrected import read_corrected
from edgeloop.labeling.dataset.decisions import (
    AddDecision,
    ChangeDecision,
    Decision,
    FrameDecision,
    LabelBox,
    RightDecision,
    UndoLine,
    WrongDecision,
    active_decisions,
    decide_frame,
    parse_journal,
    read_decisions,
)
from edgeloop.labeling.dataset.split import Split
from edgeloop.labeling.dataset.write import LabeledFrame, write_dataset
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.inputs.load import read_inputs
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import job_key, label_frames
from edgeloop.labeling.ledger import FrameResult, Label, LabeledRow, Ledger
from edgeloop.models.errors import DataError
from tests.labeling.footage import write_gray_frames

NAMES = ["bolt", "nut"]
SIZE = 100
Box = tuple[float, float, float, float]
LEFT: Box = (10.0, 20.0, 50.0, 60.0)
RIGHT: Box = (60.0, 20.0, 90.0, 60.0)


def found(*boxes: Box, class_id: int = 0, unsure: tuple[Box, ...] = ()) -> FrameResult:
    return FrameResult(
        file="0.png", width=SIZE, height=SIZE,
        labels=tuple(label(own, class_id) for own in boxes),
        unsure=tuple(label(own, class_id) for own in unsure),
    )  # fmt: skip


def label(box: Box, class_id: int = 0) -> Label:
    return Label(xyxy=box, class_id=class_id, score=0.6, prompt="detector", sam_score=0.5)


def box(xyxy: Box, name: str = "bolt") -> LabelBox:
    return LabelBox(name=name, xyxy=xyxy)


def shifted(xyxy: Box, by: float) -> Box:
    x1, y1, x2, y2 = xyxy
    return x1 + by, y1, x2 + by, y2


def shown(result: FrameResult) -> list[tuple[str, Box, str]]:
    return [(NAMES[own.class_id], own.xyxy, own.prompt) for own in result.labels]


def test_wrong_stays_away_from_whatever_a_later_run_finds() -> None:
    wrong = WrongDecision(batch=1, file="0.png", box=box(LEFT))
    later = found(shifted(LEFT, 5), RIGHT, unsure=(LEFT,))
    assert shown(decide_frame(later, [wrong], NAMES)) == [("bolt", RIGHT, "detector")]
    assert decide_frame(later, [wrong], NAMES).unsure == ()


def test_wrong_is_of_one_class() -> None:
    wrong = WrongDecision(batch=1, file="0.png", box=box(LEFT, "nut"))
    assert shown(decide_frame(found(LEFT), [wrong], NAMES)) == [("bolt", LEFT, "detector")]


def test_right_stays_where_it_was() -> None:
    right = RightDecision(batch=1, file="0.png", box=box(LEFT))
    for later in (found(shifted(LEFT, 5)), found(), found(unsure=(LEFT,))):
        decided = decide_frame(later, [right], NAMES)
        assert shown(decided) == [("bolt", LEFT, "human")]
        assert decided.labels[0].score == 1
        assert decided.unsure == ()


def test_a_right_label_keeps_its_mask() -> None:
    masked = found(LEFT).model_copy(update={"labels": (label(LEFT).model_copy(update={"counts": "abc"}),)})
    right = RightDecision(batch=1, file="0.png", box=box(LEFT))
    assert decide_frame(masked, [right], NAMES).labels[0].counts == "abc"


def test_a_moved_box_replaces_what_overlaps_it() -> None:
    change = ChangeDecision(batch=1, file="0.png", box=box(LEFT), to=box(RIGHT, "nut"))
    decided = decide_frame(found(LEFT, shifted(RIGHT, 3)), [change], NAMES)
    assert shown(decided) == [("nut", RIGHT, "human")]


def test_two_objects_that_overlap_can_both_be_right() -> None:
    both = [RightDecision(batch=1, file="0.png", box=box(own)) for own in (LEFT, shifted(LEFT, 8))]
    assert len(decide_frame(found(LEFT), both, NAMES).labels) == 2


def test_a_frame_that_is_right_shows_nothing_else() -> None:
    frame = FrameDecision(batch=1, file="0.png", boxes=(box(LEFT),))
    decided = decide_frame(found(shifted(LEFT, 2), RIGHT, unsure=(RIGHT,)), [frame], NAMES)
    assert shown(decided) == [("bolt", LEFT, "human")]
    assert decided.unsure == ()


def test_decisions_for_other_classes_change_nothing() -> None:
    """Decisions about bolts, for instance, in a dataset whose one class is what moves."""
    frame = FrameDecision(batch=1, file="0.png", boxes=(box(LEFT, "gear"),))
    change = ChangeDecision(batch=1, file="0.png", box=box(LEFT, "gear"), to=box(RIGHT, "washer"))
    labels = found(LEFT, RIGHT, unsure=(RIGHT,))
    assert decide_frame(labels, [frame, change], NAMES) == labels
    empty = FrameDecision(batch=1, file="0.png", boxes=())
    assert shown(decide_frame(labels, [empty], NAMES)) == []


def test_what_a_person_drew_before_is_not_changed(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, found(LEFT).model_copy(update={"by_person": True}))
    apply_decisions(dataset, [WrongDecision(batch=1, file="0.png", box=box(LEFT))])
    assert _boxes(dataset) == [("bolt", LEFT)]


sides = st.tuples(
    st.integers(0, 60), st.integers(0, 60), st.integers(10, 60), st.integers(10, 60)
).map(lambda own: (own[0], own[1], min(own[0] + own[2], SIZE), min(own[1] + own[3], SIZE)))  # fmt: skip
boxes = st.builds(
    LabelBox, name=st.sampled_from([*NAMES, "unknown"]), xyxy=sides.map(lambda s: tuple(map(float, s)))
)
common = {"batch": st.integers(1, 6), "file": st.just("0.png")}
decisions = st.one_of(
    *(st.builds(kind, **common, box=boxes) for kind in (RightDecision, WrongDecision, AddDecision)),
    st.builds(ChangeDecision, **common, box=boxes, to=boxes),
    st.builds(FrameDecision, **common, boxes=st.lists(boxes, max_size=3).map(tuple)),
)
results = st.builds(
    lambda labels, unsure: FrameResult(file="0.png", width=SIZE, height=SIZE, labels=labels, unsure=unsure),
    *(
        st.lists(
            st.builds(label, sides.map(lambda s: tuple(map(float, s))), st.integers(0, 1)), max_size=4
        ).map(tuple)
        for _ in range(2)
    ),
)


@settings(max_examples=200, deadline=None)
@given(results, st.lists(decisions, max_size=6))
def test_a_second_time_changes_nothing(result: FrameResult, made: list[Decision]) -> None:
    once = decide_frame(result, made, NAMES)
    assert decide_frame(once, made, NAMES) == once


@settings(max_examples=50, deadline=None)
@given(results, st.lists(decisions, max_size=5), st.integers(1, 6))
def test_undo_is_as_if_it_never_was(result: FrameResult, made: list[Decision], undone: int) -> None:
    lines = [*made, UndoLine(batch=7, undone=undone)]
    expected = [decision for decision in made if decision.batch != undone]
    assert decide_frame(result, active_decisions(lines), NAMES) == decide_frame(result, expected, NAMES)


@settings(max_examples=50, deadline=None)
@given(st.lists(decisions, max_size=5))
def test_a_journal_reads_back(made: list[Decision]) -> None:
    content = b"".join(decision.model_dump_json().encode() + b"\n" for decision in made)
    assert parse_journal(content, Path("journal")) == (made, len(content))


def test_a_cut_last_line_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    line = RightDecision(batch=1, file="0.png", box=box(LEFT)).model_dump_json().encode()
    with caplog.at_level(logging.WARNING):
        lines, length = parse_journal(line + b"\n" + line[:30], Path("journal"))
    assert (len(lines), length) == (1, len(line) + 1)
    assert "cut off" in caplog.text


@pytest.mark.parametrize(
    "line",
    [b"{}", b"\xff\xfe", b"[" * 5000, b'{"verdict": "right", "batch": 1, "file": "0.png"}',
     b'{"verdict": "undo", "batch": 1, "undone": 1e99}',
     b'{"verdict":"right","batch":1,"file":"0.png","box":{"name":"bolt","xyxy":[0,0,NaN,1]}}'],
)  # fmt: skip
def test_a_malformed_line_is_named(line: bytes) -> None:
    with pytest.raises(DataError, match=r"^journal:1:"):
        parse_journal(line + b"\n", Path("journal"))


def _dataset(folder: Path, *results: FrameResult) -> Path:
    frames = folder / "frames"
    frames.mkdir()
    labeled = []
    for number, result in enumerate(results):
        name = f"{number}.png"
        cv2.imwrite(str(frames / name), np.full((SIZE, SIZE, 3), 50 * number, np.uint8))
        entry = FrameEntry(file=name, source="a", index=number)
        own = result.model_copy(update={"file": name})
        labeled.append(LabeledFrame(entry, Split.TRAIN if number % 2 == 0 else Split.VAL, own))
    write_dataset(folder / "dataset", NAMES, labeled, FolderStore(frames), {})
    return folder / "dataset"


def _files(dataset: Path) -> dict[str, bytes]:
    files = [path for path in dataset.rglob("*") if path.is_file() and path.name != ORIGINALS]
    return {str(path.relative_to(dataset)): path.read_bytes() for path in files}


def _boxes(dataset: Path, number: int = 0) -> list[tuple[str, Box]]:
    """Boxes of a frame in instances.json, checked against its text file and the digests."""
    coco = json.loads((dataset / "instances.json").read_text())
    (image,) = (each for each in coco["images"] if Path(each["file_name"]).stem == str(number))
    own = [each for each in coco["annotations"] if each["image_id"] == image["id"]]
    opened = open_dataset(dataset)
    assert coco["info"]["digest"] == opened.digest
    (text,) = (each for each in (*opened.train, *opened.val) if each.path.stem == str(number))
    assert len(text.class_id) == len(own)
    return [
        (NAMES[each["category_id"] - 1], (x, y, x + w, y + h))
        for each in own
        for x, y, w, h in (each["bbox"],)
    ]


def test_a_dataset_shows_its_decisions_and_their_undoing(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, found(LEFT, RIGHT), found(LEFT, unsure=(RIGHT,)), found(LEFT))
    before = (dataset / "labels/train/0.txt").read_bytes()
    untouched = _files(dataset)
    wrong = WrongDecision(batch=1, file="0.png", box=box(LEFT))
    accepted = RightDecision(batch=2, file="1.png", box=box(RIGHT))
    apply_decisions(dataset, [wrong, accepted])
    assert _boxes(dataset) == [("bolt", RIGHT)]
    assert _boxes(dataset, 1) == [("bolt", LEFT), ("bolt", RIGHT)]
    assert _boxes(dataset, 2) == [("bolt", LEFT)]
    assert json.loads((dataset / "review.json").read_text())["unsure"] == []
    apply_decisions(dataset, [accepted])
    assert _boxes(dataset) == [("bolt", LEFT), ("bolt", RIGHT)]
    assert (dataset / "labels/train/0.txt").read_bytes() == before
    apply_decisions(dataset, [])
    assert len(json.loads((dataset / "review.json").read_text())["unsure"]) == 1
    assert is_applied(dataset, [])
    assert _files(dataset) == untouched


@pytest.mark.parametrize("step", ["_replace_text", "_rewrite_review", "_rewrite_instances"])
def test_a_crash_between_files_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    dataset = _dataset(tmp_path, found(LEFT, RIGHT), found(LEFT, RIGHT))
    first = [WrongDecision(batch=1, file=f"{number}.png", box=box(LEFT)) for number in range(2)]
    calls = 0
    real = getattr(on_disk, step)

    def crash(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if step != "_replace_text" or calls == 2:
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as crashing:
        crashing.setattr(on_disk, step, crash)
        with pytest.raises(KeyboardInterrupt):
            apply_decisions(dataset, first)
    open_dataset(dataset)  # what a training reads is whole
    apply_decisions(dataset, [WrongDecision(batch=1, file="0.png", box=box(RIGHT))])
    assert (_boxes(dataset), len(_boxes(dataset, 1))) == ([("bolt", LEFT)], 2)


def test_labels_that_were_edited_elsewhere_are_not_lost(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, found(LEFT, RIGHT))
    (dataset / "labels/train/0.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    with pytest.raises(DataError, match="edited in another tool"):
        apply_decisions(dataset, [WrongDecision(batch=1, file="0.png", box=box(LEFT))])
    assert (dataset / "labels/train/0.txt").read_text() == "1 0.5 0.5 0.2 0.2\n"


def test_only_frames_that_are_decided_as_a_whole_are_taken_for_corrected(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, found(LEFT, RIGHT), found(LEFT), found(LEFT))
    part = RightDecision(batch=1, file="0.png", box=box(LEFT))
    whole = FrameDecision(batch=2, file="1.png", boxes=(box(LEFT),))
    apply_decisions(dataset, [part, whole])
    _, frames = read_corrected(dataset, tmp_path / "frames")
    assert [frame.path.name for frame in frames] == ["1.png"]
    assert (dataset / ORIGINALS).is_file()


def test_a_later_run_of_label_keeps_a_persons_word(tmp_path: Path) -> None:
    """The labels of all frames are in the ledger already, as after a run that was interrupted at its end."""
    frames = write_gray_frames(tmp_path, SIZE)
    journal = tmp_path / "decisions.jsonl"
    made = (
        WrongDecision(batch=1, file="0.png", box=box(shifted(LEFT, 4))),
        AddDecision(batch=2, file="1.png", box=box(RIGHT)),
        RightDecision(batch=3, file="2.png", box=box(RIGHT)),
        UndoLine(batch=4, undone=3),
    )
    journal.write_text("".join(line.model_dump_json() + "\n" for line in made))
    plan = LabelPlan(
        frames, tmp_path / "exemplars.json", tmp_path / "dataset", decisions=journal, val_share=0, sam="nano"
    )
    entries = read_frames(frames)
    (tmp_path / "dataset.unfinished").mkdir()
    key = job_key(plan, read_inputs(plan, frames, entries, None))
    store = FolderStore(frames)
    with Ledger(tmp_path / "dataset.unfinished" / "ledger.sqlite3", key) as ledger:
        for number in range(4):
            result = found(LEFT).model_copy(update={"file": f"{number}.png"})
            ledger.add(LabeledRow(result, "d", b""), store.stamp(f"{number}.png"))
    label_frames(plan)
    assert [_boxes(plan.out, number) for number in range(3)] == [
        [], [("bolt", LEFT), ("bolt", RIGHT)], [("bolt", LEFT)]
    ]  # fmt: skip
    assert is_applied(plan.out, read_decisions(journal))
    apply_decisions(plan.out, [])  # everything undone later
    assert _boxes(plan.out) == [("bolt", LEFT)]
