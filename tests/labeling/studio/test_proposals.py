"""Proposals: filtered, ranked, rejected for good, and found by a process that follows what is drawn."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from edgeloop.labeling.engine.rounds import Steps
from edgeloop.labeling.studio.exemplar_file import DrawnBox, DrawnFrame
from edgeloop.labeling.studio.project import Project, open_project
from edgeloop.labeling.studio.proposals import propose
from edgeloop.labeling.studio.proposals.messages import MESSAGES, Found, Learned, ProposedBox
from edgeloop.labeling.studio.proposals.propose import Commands, ProposalJob, spread
from edgeloop.labeling.studio.proposals.proposer import Proposer
from edgeloop.labeling.studio.proposals.ranking import FrameRow, choose_next, left_over, row_of, to_look_at
from edgeloop.labeling.studio.proposals.rejections import RejectedBox, Rejections
from edgeloop.models.errors import DataError
from tests.labeling.studio.serving import Serving
from tests.waiting import until

BOLT = ProposedBox(xyxy=(10, 10, 50, 50), name="bolt", score=0.9)
NUT = ProposedBox(xyxy=(100, 100, 140, 140), name="nut", score=0.4)
NEAR_BOLT = (12.0, 12.0, 50.0, 50.0)


def drawn(name: str) -> DrawnFrame:
    return DrawnFrame(boxes=(DrawnBox(xyxy=NEAR_BOLT, name=name),), complete=False)


@pytest.mark.parametrize("name", ["bolt", "nut", "_ignore"])
def test_what_is_drawn_is_not_proposed_whatever_its_class(name: str) -> None:
    assert left_over([BOLT, NUT], drawn(name), frozenset()) == [NUT]


def test_what_was_rejected_is_not_proposed_as_that_class() -> None:
    rejected = {RejectedBox(xyxy=NEAR_BOLT, name="bolt"), RejectedBox(xyxy=NUT.xyxy, name="bolt")}
    assert left_over([BOLT, NUT], DrawnFrame(), frozenset(rejected)) == [NUT]


def test_a_frame_in_short() -> None:
    assert row_of(3, [BOLT, NUT]) == FrameRow(3, 1, 0.9, 0.5)
    assert row_of(3, []) == FrameRow(3, 0, 0.0, 0.0)


def test_frames_in_doubt_are_next_but_not_neighbors() -> None:
    rows = {n: FrameRow(n, 1, 0.9, doubt) for n, doubt in {10: 3.0, 11: 2.9, 50: 2.0, 90: 2.8}.items()}
    assert choose_next(rows, [91], 100, 2) == [10, 50]


def test_a_frame_whose_proposals_were_just_settled_is_not_shown() -> None:
    rows = {n: FrameRow(n, 1, 0.9, 0.5) for n in (1, 2)}
    assert to_look_at(rows, lambda number: [BOLT] if number == 2 else [], 4, doubtful=True) == [(2, BOLT)]


def test_a_process_that_does_not_know_a_new_name_yet_proposes_by_it(frames: Path, tmp_path: Path) -> None:
    with open_project(frames, tmp_path / "work", None) as project:
        draw_all(project, 0)
        proposer = Proposer(project)
        project.drawn.rename("bolt", "screw")
        proposer.rename("bolt", "screw")
        proposer.take(Found(frame=1, round=1, boxes=(BOLT,)))
        assert [box.name for box in proposer.of(1)] == ["screw"]


def test_boxes_that_cannot_be_learned_from_are_said(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_project(frames, tmp_path / "work", None) as project:
        draw_all(project, 0)
        (frames / project.entry(0).file).write_bytes(b"not an image")
        commands = Commands()
        commands.settle = commands.changed.clear  # type: ignore[method-assign]
        ProposalJob(frames, project.exemplars, tmp_path / "proposals", commands, None).run()
    said = json.loads(capsys.readouterr().out.splitlines()[0])
    assert said["state"] == "waiting"
    assert project.entry(0).name in said["detail"]


def test_a_spread_order_covers_everything_early() -> None:
    for count in (1, 2, 7, 100):
        assert sorted(spread(count)) == list(range(count))
    assert sorted(spread(100)[:4]) == [0, 32, 64, 96]


def test_rejections_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "rejected.jsonl"
    one, other = RejectedBox(xyxy=BOLT.xyxy, name="bolt"), RejectedBox(xyxy=NUT.xyxy, name="nut")
    rejections = Rejections(path)
    rejections.reject("a.jpg", (one, other))
    rejections.restore("a.jpg", (other,))
    with path.open("a") as file:
        file.write('{"frame": "a.jpg", "doe')  # killed while writing
    again = Rejections(path)
    assert again.of("a.jpg") == {one}
    again.reject("b.jpg", (one,))
    assert Rejections(path).of("b.jpg") == {one}


def test_a_damaged_rejection_is_named_and_not_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "rejected.jsonl"
    Rejections(path).reject("a.jpg", (RejectedBox(xyxy=BOLT.xyxy, name="bolt"),))
    path.write_text(path.read_text().replace('"bolt"', "bolt") + path.read_text())
    with pytest.raises(DataError, match=r"rejected\.jsonl:1.*correct or remove this line"):
        Rejections(path)


def test_a_renamed_class_stays_rejected(studio: Serving) -> None:
    box = DrawnBox(xyxy=(200, 200, 220, 220), name="bolt")
    studio.project.drawn.put("000.jpg", DrawnFrame(boxes=(box,)))
    take = studio.proposer.take
    take(Found(frame=2, round=1, boxes=(BOLT, NUT)))
    studio.api("POST", "frames/2/proposals/reject", {"boxes": [{"xyxy": BOLT.xyxy, "name": "bolt"}]})
    studio.api("POST", "classes/rename", {"name": "bolt", "to": "screw"})
    take(Found(frame=2, round=2, boxes=(BOLT.model_copy(update={"name": "screw"}), NUT)))
    assert [each["name"] for each in studio.api("GET", "frames/2/proposals")["proposals"]] == ["nut"]
    assert len(Rejections(studio.project.work / "rejected.jsonl").of("002.jpg")) == 1


def test_api_of_a_frame(studio: Serving) -> None:
    take = studio.proposer.take
    take(Learned(round=1, learned_from=2, estimate=None))
    take(Found(frame=2, round=1, boxes=(BOLT, NUT)))
    bolt, nut = studio.api("GET", "frames/2/proposals")["proposals"]
    assert (bolt["name"], nut["score"]) == ("bolt", 0.4)
    rejected = {"boxes": [{"xyxy": bolt["xyxy"], "name": "bolt"}]}
    assert studio.api("POST", "frames/2/proposals/reject", rejected)["proposals"] == [nut]
    take(Found(frame=2, round=2, boxes=(BOLT, NUT)))
    assert studio.api("GET", "proposals")["frames"] == [[2, 0, 0.4, 0.4]]
    assert studio.api("POST", "frames/2/proposals/restore", rejected)["proposals"] == [bolt, nut]
    box = {"xyxy": [100, 100, 140, 141], "name": "nut"}
    studio.api("PUT", "frames/2/boxes", {"boxes": [box], "complete": False})
    assert studio.api("GET", "frames/2/proposals")["proposals"] == [bolt]
    studio.api("PUT", "frames/2/boxes", {"boxes": [box], "complete": True})
    assert studio.api("GET", "proposals")["frames"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("frames/1/crop?xyxy=1,1,20,20", 200),
        ("frames/1/crop?xyxy=1,1,20", 422),
        ("frames/1/crop?xyxy=a,1,2,3", 422),
        ("frames/1/crop?xyxy=nan,1,2,3", 422),
        ("frames/1/crop?xyxy=1,1,2000,20", 422),
        ("frames/99/crop?xyxy=1,1,20,20", 404),
        ("frames/99/proposals", 404),
    ],
)
def test_requests_of_the_api(studio: Serving, path: str, status: int) -> None:
    assert studio.ask("GET", f"api/{path}")[0] == status


@pytest.mark.parametrize(
    "boxes", [[], [{"xyxy": [1, 2, 3], "name": "a"}], [{"xyxy": [1, 2, 3, 4]}], "a", [{"name": "a" * 101}]]
)
def test_malformed_rejections_are_refused(studio: Serving, boxes: object) -> None:
    assert studio.ask("POST", "api/frames/1/proposals/reject", {"boxes": boxes})[0] == 422


@pytest.fixture
def project(frames: Path, tmp_path: Path) -> Project:
    with open_project(frames, tmp_path / "work", None) as opened:
        return opened


def draw_all(project: Project, *numbers: int) -> None:
    for number in numbers:
        box = DrawnBox(xyxy=(40, 40, 90, 90), name="bolt")
        project.drawn.put(project.entry(number).name, DrawnFrame(boxes=(box,)))


def test_a_job_learns_searches_and_goes_on(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propose, "_SETTLE_S", 0.0)
    commands = Commands()
    job = ProposalJob(
        project.frames,
        project.exemplars,
        project.work / "proposals",
        commands,
        Steps(first=1, again=1, full=1),
    )
    job.run()  # nothing is drawn: it says which frames to draw first
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["kind"] for each in said] == ["state", "next"]
    assert len(set(said[1]["frames"])) == 5
    assert set(said[1]["frames"]) < {0, 1, 2, 3, 4, 5}  # 6 is damaged

    draw_all(project, 0, 1)
    commands.take("changed")
    job.run()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {each["frame"] for each in said if each["kind"] == "found"} == {2, 3, 4, 5}  # 6 is damaged
    assert said[-1]["state"] == "ready"
    assert said[-1]["learned_from"] == 2
    learned = [each for each in said if each["kind"] == "learned"]
    assert learned[-1]["estimate"]["map50"]["high"] <= 1
    for each in said:
        MESSAGES.validate_python(each)

    commands.take("look 4")
    job.run()
    (found,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (found["kind"], found["frame"]) == ("found", 4)


def test_a_process_that_ends_is_said_and_started_again_after_a_change(frames: Path, tmp_path: Path) -> None:
    with open_project(frames, tmp_path / "work", None) as project, closing(Proposer(project)) as proposer:
        (project.work / "proposals").write_text("in the way")
        proposer.start()
        until(lambda: proposer.summary()["state"] == "failed", seconds=60)
        detail = proposer.summary()["detail"]
        assert detail.endswith("it starts again after the next change")
        (project.work / "proposals").unlink()
        draw_all(project, 0)
        until(lambda: proposer.summary()["state"] in {"waiting", "learning"}, seconds=60)
        process = proposer._process
        assert process is not None
        process.kill()
        until(lambda: proposer.summary()["state"] == "failed", seconds=60)
        assert "ended by signal 9" in proposer.summary()["detail"]
        draw_all(project, 1)
        until(lambda: proposer.summary()["state"] in {"waiting", "learning"}, seconds=60)
        process = proposer._process
        assert process is not None
        proposer.pause()
        assert proposer.summary()["state"] == "paused"
        proposer.resume()
        assert proposer.summary()["state"] != "paused"
    assert process.poll() is not None
