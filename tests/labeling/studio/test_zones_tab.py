"""Zones and lines are drawn by mouse and by key, checked as `edgeloop run` checks them, and saved at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from edgeloop.edge.tracking.zone_file import read_zones
from edgeloop.labeling.studio.zones.zone_store import ZoneStore
from edgeloop.models.errors import DataError
from tests.labeling.studio.serving import Serving, serve, write_gray_frames
from tests.waiting import until

KEY = "0123456789abcdefghij"
SQUARE = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5], [0.1, 0.5]]
ZONE = {"name": "yard", "points": SQUARE, "classes": ["bolt"], "dwell_s": 30}
LINE = {"name": "gate", "points": [[0, 0.5], [1, 0.5]]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serve(write_gray_frames(tmp_path_factory.mktemp("zones") / "frames")) as serving:
        yield serving


@pytest.fixture
def studio(served: Serving) -> Serving:
    """The studio of three gray frames, without zones."""
    served.project.zones.unlink(missing_ok=True)
    return served


def test_what_the_page_sends_is_the_file_of_run(studio: Serving) -> None:
    reply = studio.api("PUT", "zones", {"base": "", "zones": [ZONE], "lines": [LINE]})
    assert reply["saved"]
    assert json.loads(studio.project.zones.read_text()) == {
        "zones": [{"name": "yard", "classes": ["bolt"], "polygon": SQUARE, "dwell_s": 30}],
        "lines": [{"name": "gate", "from": [0, 0.5], "to": [1, 0.5]}],
        "units": "shares",
    }
    assert read_zones(studio.project.zones, ["bolt"]).in_shares
    shown = studio.api("GET", "zones")
    assert shown["base"] == reply["base"]
    assert shown["lines"][0]["points"] == LINE["points"]
    assert str(studio.project.zones) in shown["command"]
    status, _, _ = studio.ask("PUT", "api/zones", {"base": "", "zones": [ZONE]})
    assert status == 409
    assert studio.api("PUT", "zones", {"base": reply["base"]})["saved"]
    assert not studio.project.zones.exists()


@pytest.mark.parametrize(
    ("zones", "lines", "place", "reason"),
    [
        pytest.param([ZONE, {**ZONE, "name": "b", "points": SQUARE[:2]}], [], 1, "at least 3", id="corners"),
        pytest.param([{**ZONE, "points": [SQUARE[n] for n in (0, 2, 1, 3)]}], [], 0, "bow tie", id="bow tie"),
        pytest.param([ZONE], [{**LINE, "name": "yard"}], 1, "different names", id="name twice"),
        pytest.param([], [{**LINE, "points": [[0.5, 0.5]] * 2}], 0, "different ends", id="point"),
        pytest.param([], [{**LINE, "points": SQUARE}], 0, "two ends", id="four ends"),
        pytest.param([{**ZONE, "points": [[0, 0], [1.5, 0], [1, 1]]}], [], 0, "shares", id="outside"),
    ],
)
def test_a_fault_is_of_one_place_and_nothing_is_lost(
    studio: Serving, zones: list[Any], lines: list[Any], place: int, reason: str
) -> None:
    studio.api("PUT", "zones", {"zones": [ZONE]})
    before = studio.project.zones.read_bytes()
    reply = studio.api("PUT", "zones", {"zones": zones, "lines": lines})
    assert (reply["saved"], reply["place"]) == (False, place)
    assert reason in reply["detail"]
    assert studio.project.zones.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"zones": [{**ZONE, "dwell_s": 0}]},
        {"zones": [{**ZONE, "name": ""}]},
        {"zones": [{**ZONE, "name": "a\nb"}]},
        {"zones": [{**ZONE, "file": "x"}]},
        {"lines": [{**LINE, "points": [[0, "x"]]}]},
        {"lines": [LINE] * 101},
        b'{"lines": [{"name": "a", "points": [[NaN, 0], [1, 1]]}]}',
    ],
)
def test_what_can_never_be_a_place_is_refused(studio: Serving, change: Any) -> None:
    assert studio.ask("PUT", "api/zones", change)[0] == 422
    assert not studio.project.zones.exists()


def test_a_file_in_pixels_is_opened_by_the_size_of_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "zones.json"
    path.write_text('{"lines": [{"name": "gate", "from": [0, 120], "to": [320, 120]}]}')
    found, _ = ZoneStore(path, lambda: (320, 240)).read()
    assert found is not None
    assert found.lines[0].points == ((0, 0.5), (1, 0.5))
    with pytest.raises(DataError, match="reaches"):
        ZoneStore(path, lambda: (160, 120)).read()


def test_a_file_that_is_none_is_kept(studio: Serving) -> None:
    studio.project.zones.write_text("{")
    assert "move it away" in studio.api("GET", "zones")["problem"]
    assert studio.ask("PUT", "api/zones", {"zones": [ZONE]})[0] == 422
    assert studio.project.zones.read_text() == "{"


def saved(studio: Serving) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(studio.project.zones.read_text())
    return found


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Point of the frame on the page."""
    left, top = page.evaluate("([x, y]) => document.querySelector('frame-view').toPage([x, y])", [x, y])
    return left, top


def draw_zone(page: Page) -> None:
    page.keyboard.press("p")
    for corner in ((40, 40), (200, 40), (200, 160), (40, 160)):
        page.mouse.click(*place(page, *corner))
    page.mouse.click(*place(page, 40, 40))  # on the first one: closed


def test_a_zone_that_was_drawn_while_the_server_was_away_is_saved_when_it_is_back(
    tmp_path: Path, open_page: Callable[[str], Page]
) -> None:
    frames = write_gray_frames(tmp_path / "frames")
    with serve(frames, key=KEY) as first:
        page = open_page(f"{first.url}#zones")
        expect(page.get_by_text("Press P")).to_be_visible()
        expect(page.locator("frame-view")).to_have_js_property("height", 240)
    draw_zone(page)
    expect(
        page.get_by_text("the server does not answer; is `edgeloop studio` still running?")
    ).to_be_visible()
    port = int(first.url.split(":")[2].split("/")[0])
    with serve(frames, port=port, key=KEY) as second:
        until(second.project.zones.exists)
        assert len(saved(second)["zones"]) == 1
        expect(page.get_by_text("Saved in zones.json")).to_be_visible()
        page.console_errors.clear()  # type: ignore[attr-defined]
        page.close()


def test_a_zone_by_mouse_and_a_line_by_key(studio: Serving, open_page: Callable[[str], Page]) -> None:
    page = open_page(studio.url + "#zones")
    expect(page.get_by_text("Press P")).to_be_visible()
    expect(page.locator("frame-view")).to_have_js_property("height", 240)
    draw_zone(page)
    expect(page.get_by_text("Saved in zones.json")).to_be_visible()
    assert saved(studio)["zones"][0]["polygon"][2] == pytest.approx([200 / 320, 160 / 240], abs=0.01)

    page.mouse.move(*place(page, 200, 160))
    page.mouse.down()
    page.mouse.move(*place(page, 120, 20), steps=3)
    page.mouse.up()
    expect(page.get_by_text("bow tie")).to_be_visible()
    page.keyboard.press("Control+z")
    expect(page.get_by_text("bow tie")).to_be_hidden()

    page.keyboard.press("l")
    page.keyboard.press("ArrowUp")
    page.keyboard.press(" ")
    for _ in range(8):
        page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    name = page.get_by_label("Name")
    expect(name).to_have_value("line A")
    name.fill("gate")
    page.get_by_label("Start, x in %").fill("25")
    page.get_by_role("button", name="Swap in and out").click()
    expect(page.get_by_label("End, x in %")).to_have_value("25")
    expect(page.get_by_text("Saved in zones.json")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="gate")).to_be_visible()
    line = saved(studio)["lines"][0]
    assert (line["name"], line["to"][0], line["from"][0]) == ("gate", 0.25, 0.5)
    page.get_by_role("button", name="zone A").click()
    page.locator("frame-view").focus()
    page.keyboard.press("Delete")
    expect(page.get_by_role("button", name="zone A")).to_be_hidden()
