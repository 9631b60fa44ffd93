"""The page asks about the sample without its scores, and the sheet shows it if there is no browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.web.page_events import Events
from edgeloop.edge.web.server import LOOPBACK, Server, open_port
from edgeloop.labeling.audit.answers import AnswerBook, open_answers
from edgeloop.labeling.audit.audit_session import AuditSession
from edgeloop.labeling.audit.pictures import render_box, render_frame
from edgeloop.labeling.audit.sheet import BOX, draw_sheet, write_sheet
from edgeloop.labeling.studio.audit_page import audit_app
from edgeloop.models.errors import DataError, NoInputError
from tests.labeling.audits import drawn, write_audited
from tests.served import Served, serve_app


@dataclass(frozen=True)
class Running(Served):
    """Page of `edgeloop audit` that is being served: two boxes, two frames."""

    book: AnswerBook
    thread: threading.Thread


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    sample = drawn(write_audited(tmp_path / "dataset"), boxes=2, frames=2)
    server, events = Server(open_port(LOOPBACK, None)), Events()
    with (
        open_answers(sample) as book,
        serve_app(server, audit_app(sample, book, server, events), events) as thread,
    ):
        yield Running(server.access.url, book, thread)


def test_an_audit_from_the_first_answer_to_the_last(running: Running, tmp_path: Path) -> None:
    written = tmp_path / "dataset" / "audit.json"
    missed = {"missed": [[1, 2.5], [160, 120]]}
    for place, answer in (
        ("boxes/0", {"right": True}),
        ("boxes/1", {"right": True}),
        ("boxes/0", {"right": False}),
        ("frames/0", missed),
    ):
        assert running.api("PUT", f"audit/{place}", answer) == {"complete": False, "figures": None}
        assert written.is_file()
    assert json.loads(written.read_text())["answers"] == {
        "boxes": [False, True],
        "frames": [[[1.0, 2.5], [160.0, 120.0]]],
    }
    state = running.api("GET", "audit")
    assert state["answers"]["boxes"] == [False, True]
    assert state["fixed"]
    assert "score" not in json.dumps(state)
    said = running.api("PUT", "audit/frames/1", {"missed": []})
    assert said["complete"]
    assert said["figures"]["figures"]["missed"] == 2
    assert "precision" in said["figures"]["lines"][0]
    running.thread.join(timeout=20)
    assert not running.thread.is_alive()


def test_done_ends_it_early(running: Running) -> None:
    assert not running.api("POST", "audit/done")["complete"]
    running.thread.join(timeout=20)
    assert not running.thread.is_alive()


def test_pictures(running: Running) -> None:
    for path, size in (("boxes/0/image", (720, 720)), ("frames/1/image?drawn=false", (960, 1280))):
        status, headers, body = running.ask("GET", f"api/audit/{path}")
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR).shape[:2] == size


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("boxes/2/image", 404),
        ("frames/99999999999999999999/image", 404),
        ("boxes/-1/image", 422),
        ("frames/%C2%B2/image", 422),
        ("boxes/0/image?drawn=perhaps", 422),
        ("boxes/0/image/x", 404),
    ],
)
def test_pictures_that_are_not_there(running: Running, path: str, status: int) -> None:
    assert running.ask("GET", f"api/audit/{path}")[0] == status


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        pytest.param("boxes/0", b"{", id="no json"),
        pytest.param("boxes/0", {"right": "yes"}, id="no bool"),
        pytest.param("boxes/0", {"right": True, "file": "x"}, id="more than asked"),
        pytest.param("boxes/-1", {"right": True}, id="negative"),
        pytest.param("boxes/1", {"right": True}, id="not asked yet"),
        pytest.param("frames/7", {"missed": []}, id="no such frame"),
        pytest.param("frames/0", {"missed": [[161, 5]]}, id="outside the frame"),
        pytest.param("frames/0", {"missed": [[1, 1]] * 1001}, id="too many points"),
        pytest.param("frames/0", b'{"missed": [[NaN, 1]]}', id="not a number"),
    ],
)
def test_bad_answers_are_refused(running: Running, path: str, answer: Any) -> None:
    status, _, said = running.ask("PUT", f"api/audit/{path}", answer)
    assert status == 422
    assert b"\n" not in said
    assert running.book.answers.boxes == running.book.answers.frames == ()


def test_the_command_chooses_the_sample(running: Running) -> None:
    status, _, said = running.ask("POST", "api/audit/start", {"boxes": 1})
    assert (status, b"--boxes" in said) == (422, True)


def test_a_session_begins_goes_on_and_keeps_answers_to_other_samples(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    with pytest.raises(NoInputError, match="no dataset yet"):
        AuditSession(dataset).sample()
    write_audited(dataset)
    assert AuditSession(dataset).sample() is None
    session = AuditSession(dataset)
    first = session.start(boxes=3, frames=2, seed=4)
    session.answer_box(0, True)
    again = AuditSession(dataset)
    sample = again.sample()
    assert sample is not None
    assert [box.id for box in sample.boxes] == [box.id for box in first.boxes]
    assert again.answers().boxes == (True,)
    kept = (dataset / "audit.json").read_bytes()
    again.start(boxes=3, frames=2, seed=5)
    assert again.answers().boxes == ()
    assert (dataset / "audit-1.json").read_bytes() == kept


def test_labels_that_changed_are_asked_about_anew(tmp_path: Path) -> None:
    session = AuditSession(write_audited(tmp_path / "dataset"))
    session.start(boxes=3, frames=2, seed=0)
    session.answer_box(0, True)
    path = tmp_path / "dataset" / "instances.json"
    path.write_text(path.read_text().replace('"score": 0.5', '"score": 0.625', 1))
    with pytest.raises(DataError, match="other labels"):
        session.answer_box(1, True)
    session.start(boxes=3, frames=2, seed=0)
    assert session.answers().boxes == ()


def test_a_crop_shows_the_box_in_its_middle(tmp_path: Path) -> None:
    sample = drawn(write_audited(tmp_path / "dataset"), boxes=1000)
    middle = next(box for box in sample.boxes if box.xyxy[0] == 70)
    picture = render_box(middle, 480, drawn=False)  # 48 px of the image, ten times as large
    image = read_image(middle.path)
    assert image is not None
    assert picture.shape == (480, 480, 3)
    assert np.array_equal(picture[240, 240], image[60, 80])
    assert np.array_equal(picture[240, 100], [90, 90, 90])  # the box begins at 140
    outlined = render_box(middle, 480)
    assert np.array_equal(outlined[145:335, 145:335], picture[145:335, 145:335])
    assert (outlined[240, 136:140] != picture[240, 136:140]).any()
    edge = next(box for box in sample.boxes if box.xyxy[0] == 10)
    assert render_box(edge, 480).shape == (480, 480, 3)  # moved into the image, not cut


def test_the_sheet_has_every_picture_at_its_place(tmp_path: Path) -> None:
    sample = drawn(write_audited(tmp_path / "dataset"), boxes=13, frames=4)
    sheet = draw_sheet(sample)
    for number, box in enumerate(sample.boxes):
        left, top = BOX.place(number)
        cell = sheet[56 + top : 56 + top + 184, 24 + left : 24 + left + 184]
        assert np.array_equal(cell, render_box(box, 184)), number
    assert BOX.place(10) == (0, BOX.place(0)[1] + 184 + 30 + 24)
    frames_top = 56 + BOX.height_of(13) + 56
    for number, (left, top) in enumerate([(0, 30), (701, 30), (1402, 30), (0, 592)]):
        picture = render_frame(sample.frames[number], sample.names, side=677)
        y, x = frames_top + top + (508 - picture.shape[0]) // 2, 24 + left
        assert np.array_equal(sheet[y : y + picture.shape[0], x : x + 677], picture), number


def test_the_sheet_replaces_nothing(tmp_path: Path) -> None:
    sample = drawn(write_audited(tmp_path / "dataset"), boxes=2, frames=1)
    write_sheet(sample, tmp_path / "sheet.png")
    assert read_image(tmp_path / "sheet.png") is not None
    with pytest.raises(DataError, match="exists already"):
        write_sheet(sample, tmp_path / "sheet.png")
