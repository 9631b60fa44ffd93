"""The page serves the sample to this machine alone, and the sheet shows it where there is no browser."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeloop.edge.host.opencv import read_image
from edgeloop.labeling.audit.answers import AnswerBook, open_answers
from edgeloop.labeling.audit.page import Page
from edgeloop.labeling.audit.pictures import render_box, render_frame
from edgeloop.labeling.audit.sheet import BOX, draw_sheet, write_sheet
from edgeloop.models.errors import DataError, UnavailableError
from tests.labeling.audits import drawn, write_audited


class Running:
    """A page that is being served."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.thread = threading.Thread(target=page.serve, daemon=True)
        self.thread.start()

    def ask(
        self, path: str, message: Any = None, *, key: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        link = http.client.HTTPConnection("127.0.0.1", self.page.port, timeout=20)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        body = message if message is None or isinstance(message, bytes) else json.dumps(message).encode()
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
        way = f"/{self.page.key if key is None else key}/{path}"
        link.request("GET" if body is None else "POST", way, body, headers)
        reply = link.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[AnswerBook]:
    with open_answers(drawn(write_audited(tmp_path / "dataset"), boxes=2, frames=2)) as book:
        yield book


@pytest.fixture
def running(book: AnswerBook, tmp_path: Path) -> Iterator[Running]:
    sample = drawn(tmp_path / "dataset", boxes=2, frames=2)
    running = Running(Page(sample, book, lambda: ["precision 1.000"], 0))
    yield running
    running.page.ended.set()
    running.thread.join(timeout=20)


def box(index: int, right: bool) -> dict[str, Any]:
    return {"kind": "box", "index": index, "right": right}


def frame(index: int, missed: list[list[float]]) -> dict[str, Any]:
    return {"kind": "frame", "index": index, "missed": missed}


def test_the_page_needs_nothing_from_elsewhere(running: Running) -> None:
    status, headers, body = running.ask("")
    assert status == 200
    assert b"<!doctype html>" in body
    assert b"http://" not in body
    assert b"https://" not in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_an_audit_from_the_first_answer_to_the_last(running: Running, tmp_path: Path) -> None:
    written = tmp_path / "dataset" / "audit.json"
    for message in (box(0, True), box(1, True), box(0, False), frame(0, [[1, 2.5], [160, 120]])):
        status, _, body = running.ask("answer", message)
        assert (status, json.loads(body)["ended"]) == (200, False)
        assert written.is_file()
    assert json.loads(written.read_text())["answers"] == {
        "boxes": [False, True],
        "frames": [[[1.0, 2.5], [160.0, 120.0]]],
    }
    state = json.loads(running.ask("state")[2])
    assert state["answers"]["boxes"] == [False, True]
    assert "score" not in json.dumps(state)
    status, _, body = running.ask("answer", frame(1, []))
    assert json.loads(body) == {"ended": True, "summary": ["precision 1.000"]}
    running.thread.join(timeout=20)
    assert not running.thread.is_alive()


def test_done_ends_it_early(running: Running) -> None:
    assert json.loads(running.ask("answer", {"kind": "done"})[2])["ended"]
    running.thread.join(timeout=20)
    assert not running.thread.is_alive()


def test_pictures(running: Running) -> None:
    for path, size in (("box/0/drawn", (720, 720)), ("frame/1/plain", (960, 1280))):
        status, headers, body = running.ask(path)
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR).shape[:2] == size


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "instances.json",
        "../instances.json",
        "%2e%2e/instances.json",
        "page.html",
        "box/2/drawn",
        "box/-1/drawn",
        "box/0/other",
        "box/0/drawn/x",
        "frame/%C2%B2/drawn",
        "box/0/../../state",
        "/etc/passwd",
        "state?x",
    ],
)
def test_other_paths_are_refused(running: Running, path: str) -> None:
    status, _, body = running.ask(path)
    assert status == 404
    assert b"categories" not in body


@pytest.mark.slow
@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "", "127.0.0.1:1"])
def test_foreign_hosts_are_refused(running: Running, host: str) -> None:
    assert running.ask("state", Host=host)[0] == 403
    assert running.ask("answer", box(0, True), Host=host)[0] == 403
    assert running.page.book.answers.boxes == ()


def test_a_tunnel_that_ends_at_localhost_is_let_in(running: Running) -> None:
    assert running.ask("state", Host=f"localhost:{running.page.port}")[0] == 200


def test_without_the_key_there_is_nothing(running: Running) -> None:
    assert running.ask("state", key="guessed")[0] == 404
    assert running.ask("answer", box(0, True), key="")[0] == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    ("message", "status"),
    [
        pytest.param(b"{", 400, id="no json"),
        pytest.param({"kind": "other"}, 400, id="kind"),
        pytest.param({**box(0, True), "right": "yes"}, 400, id="no bool"),
        pytest.param({**box(0, True), "file": "x"}, 400, id="more than asked"),
        pytest.param(box(-1, True), 400, id="negative"),
        pytest.param(box(1, True), 409, id="not asked yet"),
        pytest.param(frame(7, []), 409, id="no such frame"),
        pytest.param(frame(0, [[161, 5]]), 400, id="outside the frame"),
        pytest.param(frame(0, [[1, 1]] * 1001), 400, id="too many points"),
        pytest.param(b'{"kind": "frame", "index": 0, "missed": [[NaN, 1]]}', 400, id="not a number"),
        pytest.param(b" " * 70_000, 413, id="too long"),
    ],
)
def test_bad_answers_are_refused(running: Running, message: Any, status: int) -> None:
    assert running.ask("answer", message)[0] == status
    assert running.page.book.answers.boxes == running.page.book.answers.frames == ()


def test_answers_of_other_pages_are_refused(running: Running) -> None:
    assert running.ask("answer", box(0, True), Origin="http://evil.example")[0] == 403
    assert running.ask("answer", box(0, True), Content_Type="text/plain")[0] == 415
    own = f"http://127.0.0.1:{running.page.port}"
    assert running.ask("answer", box(0, True), Origin=own)[0] == 200


def test_a_taken_port_is_named(running: Running) -> None:
    page = running.page
    with pytest.raises(UnavailableError, match=f"port {page.port}"):
        Page(page.sample, page.book, list, page.port)


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
