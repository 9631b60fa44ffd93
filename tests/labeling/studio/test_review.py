"""Review: what is doubtful is asked first, and a person's word is saved, undone, and shown by the dataset."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect

from edgeloop.edge.frames.folder import read_frames
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.labeling.dataset.apply_decisions import change_task
from edgeloop.labeling.dataset.decisions import ChangeDecision, by_frame, decide_frame, read_decisions
from edgeloop.labeling.dataset.split import Split
from edgeloop.labeling.dataset.write import LabeledFrame, write_dataset
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.labeling.studio.project import work_folder
from tests.labeling.studio.serving import Serving, serve
from tests.serious_faults import serious_faults
from tests.waiting import until

NAMES = ["bolt", "nut"]
WRONG, SURE, UNSURE = (20.0, 30.0, 90.0, 80.0), (150.0, 40.0, 220.0, 120.0), (240.0, 150.0, 300.0, 220.0)
READABLE = 6


def label(xyxy: tuple[float, float, float, float], score: float, class_id: int = 0) -> Label:
    return Label(xyxy=xyxy, class_id=class_id, score=score, prompt="detector", sam_score=0.5)


@pytest.fixture
def labeled_frames(frames: Path) -> Path:
    """Frames with labels in their project: on each a doubtful bolt, a sure nut and an unsure nut."""
    labeled = []
    for number, entry in enumerate(read_frames(frames)):
        result = FrameResult(
            file=entry.name,
            width=320,
            height=240,
            labels=(label(WRONG, 0.51), label(SURE, 0.995, 1)),
            unsure=(label(UNSURE, 0.3, 1),),
            problem="cut off" if entry.name == "broken.jpg" else None,
        )
        labeled.append(LabeledFrame(entry, Split.VAL if number == 3 else Split.TRAIN, result))
    work = work_folder(frames)
    work.mkdir()
    write_dataset(work / "dataset", NAMES, labeled, FolderStore(frames), {"footage": {"kind": "photos"}})
    return frames


@pytest.fixture
def reviewed(labeled_frames: Path) -> Iterator[Serving]:
    """The studio of those frames, in this process."""
    with serve(labeled_frames) as serving:
        yield serving


def queue(studio: Serving) -> dict[str, Any]:
    """State of the review, once the queue is arranged."""
    review: dict[str, Any] = {}

    def is_arranged() -> bool:
        review.update(studio.api("GET", "review"))
        return bool(review["done"] == review["total"] and review["open"])

    until(is_arranged)
    return review


def doubts(studio: Serving, kind: str) -> list[dict[str, Any]]:
    looks = [studio.api("GET", f"review/looks/{number}") for number in range(len(queue(studio)["open"]))]
    return [doubt for look in looks for doubt in look["doubts"] if doubt["kind"] == kind]


def decide(studio: Serving, verdict: str, *decided: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = [
        {"verdict": verdict, "frame": own["frame"], "box": {"name": own["name"], "xyxy": own["xyxy"]}, **more}
        for own in decided
    ]
    return studio.api("POST", "review/decisions", {"decisions": made})


def boxes_of(studio: Serving, split: str = "train") -> list[int]:
    return [len(image.class_id) for image in getattr(open_dataset(studio.project.dataset), split)]


def test_masks_are_shown_where_the_labels_have_them(reviewed: Serving) -> None:
    assert not any(doubt["polygons"] for doubt in doubts(reviewed, "label"))
    change_task(reviewed.project.dataset, "segment")  # without masks the rectangles of the boxes
    for doubt in doubts(reviewed, "label"):
        x1, y1, x2, y2 = doubt["xyxy"]
        assert doubt["polygons"] == [[x1, y1, x2, y1, x2, y2, x1, y2]]
    assert not any(doubt["polygons"] for doubt in doubts(reviewed, "unsure"))
    labels = reviewed.api("GET", "review/frames/0")["labels"]
    assert [bool(own["polygons"]) for own in labels] == [own["state"] == "label" for own in labels]


def test_doubtful_labels_come_before_sure_ones(reviewed: Serving) -> None:
    first = reviewed.api("GET", "review/looks/0") if queue(reviewed) else {}
    assert {(own["kind"], own["name"]) for own in first["doubts"]} == {("label", "bolt")}
    assert len(first["doubts"]) > 1
    assert not [own for own in doubts(reviewed, "label") if own["name"] == "nut"]


def test_decisions_reach_the_dataset_and_their_undoing_too(reviewed: Serving) -> None:
    counts = decide(reviewed, "wrong", *doubts(reviewed, "label"))
    assert (counts["decided"], counts["errors"]) == (READABLE, READABLE)
    assert len(read_decisions(reviewed.project.work / "decisions.jsonl")) == READABLE
    reviewed.api("POST", "review/apply")
    assert boxes_of(reviewed) == [1] * (READABLE - 1)
    decide(reviewed, "right", doubts(reviewed, "unsure")[0])
    assert reviewed.api("POST", "review/undo")["counts"]["decided"] == READABLE
    assert reviewed.api("POST", "review/undo")["counts"]["decided"] == 0
    reviewed.api("POST", "review/apply")
    assert boxes_of(reviewed) == [2] * (READABLE - 1)


def test_decisions_are_written_by_one_at_a_time(reviewed: Serving) -> None:
    for verdict in ("wrong", "right"):
        decide(reviewed, verdict, *doubts(reviewed, "label"))
        with ThreadPoolExecutor(6) as pool:
            said = [*pool.map(lambda _: reviewed.ask("POST", "api/review/apply")[0], range(6))]
        assert said == [200] * 6
    assert boxes_of(reviewed) == [2] * (READABLE - 1)


def test_the_review_goes_on_without_frames_that_are_gone(labeled_frames: Path) -> None:
    (labeled_frames / "001.jpg").unlink()
    (work_folder(labeled_frames) / "review").write_text("in the way of the cache")
    with serve(labeled_frames) as studio:
        assert queue(studio)["problem"] is None
        count = sum(queue(studio)["open"])
        assert {studio.ask("GET", f"api/review/crops/{number}")[0] for number in range(count)} == {200, 404}


def test_a_training_reads_what_was_just_decided(reviewed: Serving) -> None:
    decide(reviewed, "wrong", *doubts(reviewed, "label"))
    reviewed.api("POST", "jobs/train/start", {"settings": {"epochs": 1}})
    assert boxes_of(reviewed) == [1] * (READABLE - 1)
    for child in psutil.Process().children():
        if "train" in child.cmdline():
            child.kill()  # else the end of the studio waits for it


def test_decisions_follow_a_class_that_gets_another_name(reviewed: Serving) -> None:
    drawn = {"boxes": [{"xyxy": WRONG, "name": "bolt"}], "complete": False}
    reviewed.api("PUT", "frames/0/boxes", drawn)
    counts = decide(reviewed, "wrong", *doubts(reviewed, "label"))
    reviewed.api("POST", "classes/rename", {"name": "bolt", "to": "screw"})
    assert reviewed.api("GET", "review")["counts"] == counts
    made = by_frame(read_decisions(reviewed.project.work / "decisions.jsonl"))["001.jpg"]
    later = FrameResult(file="001.jpg", width=320, height=240, labels=(label(WRONG, 0.9),))
    assert decide_frame(later, made, ["screw"]).labels == ()
    reviewed.api("POST", "review/undo")
    assert read_decisions(reviewed.project.work / "decisions.jsonl") == []


def test_of_two_classes_that_become_one_no_label_is_lost(reviewed: Serving) -> None:
    reviewed.api("PUT", "classes", {"names": ["bolt", "nut"]})
    decide(reviewed, "wrong", *doubts(reviewed, "label"))
    nut = {"verdict": "add", "frame": 1, "box": {"name": "nut", "xyxy": WRONG}}
    reviewed.api("POST", "review/decisions", {"decisions": [nut]})
    reviewed.api("POST", "classes/rename", {"name": "bolt", "to": "nut"})
    reviewed.api("POST", "review/apply")
    assert sorted(boxes_of(reviewed)) == [1] * (READABLE - 2) + [2]


def test_the_dataset_shows_decisions_soon_by_itself(reviewed: Serving) -> None:
    decide(reviewed, "wrong", doubts(reviewed, "label")[0])
    until(lambda: sum(boxes_of(reviewed) + boxes_of(reviewed, "val")) == 2 * READABLE - 1)


def test_the_queue_and_the_place_are_the_same_after_a_restart(labeled_frames: Path) -> None:
    with serve(labeled_frames) as studio:
        decide(studio, "wrong", *doubts(studio, "label")[:2])
        before, shown = queue(studio)["open"], studio.api("GET", "review/looks/0")
    assert sum(boxes_of(studio) + boxes_of(studio, "val")) == 2 * READABLE - 2
    with serve(labeled_frames) as studio:
        assert queue(studio)["open"] == before
        assert studio.api("GET", "review/looks/0") == shown


def test_a_journal_that_is_ahead_is_made_good_at_the_start(labeled_frames: Path) -> None:
    work = work_folder(labeled_frames)
    box = {"name": "bolt", "xyxy": WRONG}
    line = json.dumps({"verdict": "wrong", "batch": 1, "file": "000.jpg", "box": box})
    (work / "decisions.jsonl").write_text(line + "\n" + line[:20])  # killed in the middle of the second
    with serve(labeled_frames) as studio:
        until(lambda: boxes_of(studio)[0] == 1)
        assert studio.api("POST", "review/undo")["frames"] == [0]


def test_a_right_frame_becomes_an_exemplar(reviewed: Serving) -> None:
    queue(reviewed)
    boxes = [{"name": "nut", "xyxy": SURE}]
    made = {"verdict": "frame", "frame": 0, "boxes": boxes}
    assert reviewed.api("POST", "review/decisions", {"decisions": [made]})["frames_right"] == 1
    assert reviewed.api("GET", "review/frames/0")["labels"][0]["state"] == "human"
    assert reviewed.api("POST", "review/exemplars") == {"frames": 1}
    assert reviewed.api("GET", "frames/0/boxes")["boxes"][0]["name"] == "nut"
    assert reviewed.api("POST", "review/exemplars") == {"frames": 0}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"verdict": "right", "frame": 0}, "expected a box"),
        (
            {"verdict": "right", "frame": 99, "box": {"name": "bolt", "xyxy": [0, 0, 9, 9]}},
            "there are 7 frames",
        ),
        ({"verdict": "add", "frame": 0, "box": {"name": "gear", "xyxy": [0, 0, 9, 9]}}, "no such class"),
        (
            {"verdict": "add", "frame": 0, "box": {"name": "bolt", "xyxy": [0, 0, 900, 9]}},
            "outside the frame",
        ),
        ({"verdict": "add", "frame": 0, "box": {"name": "bolt", "xyxy": [9, 9, 9, 9]}}, "expected x1 < x2"),
        ({"verdict": "add", "frame": 6, "box": {"name": "bolt", "xyxy": [0, 0, 9, 9]}}, "not in the dataset"),
        ({"verdict": "undo", "frame": 0}, "Input should be"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(
    reviewed: Serving, made: dict[str, Any], said: str
) -> None:
    status, _, reply = reviewed.ask("POST", "api/review/decisions", {"decisions": [made]})
    assert status in {404, 422}
    assert said in reply.decode()
    assert not (reviewed.project.work / "decisions.jsonl").exists()


def test_the_end_can_be_undone(reviewed: Serving, open_page: Callable[[str], Page]) -> None:
    looks = len(queue(reviewed)["open"])
    box = {"name": "nut", "xyxy": SURE}
    made = {"verdict": "frame", "frame": 0, "boxes": [box]}
    page = open_page(reviewed.url + "#review")
    for left in range(looks, 0, -1):
        expect(page.get_by_text(f"{left} sheet")).to_be_visible()
        page.keyboard.press("y")
    expect(page.get_by_text("Everything doubtful is decided")).to_be_visible()
    decided = reviewed.api("POST", "review/decisions", {"decisions": [made]})["decided"]
    expect(page.get_by_text(f"{decided} decided")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text(f"{decided - 1} decided")).to_be_visible()
    expect(page.get_by_text("Everything doubtful is decided")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_role("option").first).to_be_visible()


def test_without_labels_the_page_says_where_to_make_some(studio: Serving, page: Page) -> None:
    page.goto(studio.url + "#review")
    expect(page.get_by_text("No labels yet.")).to_be_visible()
    page.get_by_role("link", name="Label tab").click()
    expect(page).to_have_url(studio.url + "#label")


def test_a_group_by_one_key_then_a_class_and_a_reload(
    reviewed: Serving, open_page: Callable[[str], Page]
) -> None:
    count = len(reviewed.api("GET", "review/looks/0")["doubts"]) if queue(reviewed) else 0
    page = open_page(reviewed.url + "#review")
    crops = page.get_by_role("option")
    expect(crops).to_have_count(count)
    assert serious_faults(page) == []
    page.keyboard.press("ArrowRight")
    page.keyboard.press("2")  # the second crop is a nut
    expect(crops.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("x")  # all others are nothing
    expect(page.get_by_text(f"{count} decided")).to_be_visible()
    made = read_decisions(reviewed.project.work / "decisions.jsonl")
    assert sorted(own.verdict for own in made) == ["change"] + ["wrong"] * (count - 1)
    expect(page).not_to_have_url(reviewed.url + "#review/0")
    place = page.url
    page.reload()
    expect(crops.first).to_be_visible()
    assert page.url == place
    page.keyboard.press("e")
    expect(
        page.get_by_role("button", name="bolt").or_(page.get_by_role("button", name="nut")).first
    ).to_be_visible()
    assert serious_faults(page) == []
    page.keyboard.press("1")  # the unsure nut is a bolt
    expect(page.get_by_text(f"{count + 1} decided")).to_be_visible()
    page.keyboard.press("n")
    expect(page.get_by_text(f"{count + 2} decided")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text(f"{count + 1} decided")).to_be_visible()
    title = page.locator("review-frame h2")
    number = int(title.inner_text().split()[1])
    page.keyboard.press("a" if number == READABLE - 1 else "d")
    expect(title).to_have_text(f"Frame {number - 1 if number == READABLE - 1 else number + 1}")
    page.keyboard.press("Escape")
    expect(crops.first).to_be_visible()
    last = read_decisions(reviewed.project.work / "decisions.jsonl")[-1]
    assert isinstance(last, ChangeDecision)
    assert last.to.name == "bolt"
