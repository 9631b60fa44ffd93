"""The page in a real browser: pictures, figures, faults, events, by mouse and by keyboard."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from functools import partial

import av
import pytest
from playwright.sync_api import Page, expect

from tests.blocks import draw_block
from tests.edge.service.page.page_service import Running
from tests.serious_faults import serious_faults
from tests.served import note_requests
from tests.waiting import until

_IS_SHOWN = "img => img.complete && img.naturalWidth > 0"


@pytest.fixture
def page(service: Running, open_page: Callable[[str], Page]) -> Page:
    """The page, in a browser."""
    shown = open_page(service.url)
    expect(shown.get_by_role("article")).to_have_count(2)
    return shown


def test_every_camera_is_shown_with_its_figures(service: Running, page: Page) -> None:
    expect(page).to_have_title("device · edgeloop")
    expect(page.locator("#health")).to_have_text("Ready")
    expect(page.locator("#failing")).to_be_hidden()
    for name in service.cameras:
        card = page.get_by_role("article", name=name)
        expect(card.locator(".chip")).to_have_text("open")
        expect(card.locator(".figures")).to_contain_text(re.compile(r"fps[1-9][0-9.]*median[0-9.]+ ms"))
        expect(card).to_contain_text(re.compile("Model block · 160.120"))
        until(partial(card.locator("img").evaluate, _IS_SHOWN))
    expect(page.locator("#models")).to_contain_text(service.board.models["block"].digest[:12])
    expect(page.locator("#parts")).to_contain_text(re.compile("connectedno.*budget2.0 GB"))


def test_pictures_go_on_while_the_page_is_in_sight(page: Page) -> None:
    img = page.get_by_role("article", name="belt").locator("img")
    until(lambda: img.get_attribute("src"))
    first = img.get_attribute("src")
    until(lambda: img.get_attribute("src") != first)


def test_a_fault_is_named_until_it_is_over(service: Running, page: Page) -> None:
    service.cameras["door"].on.clear()
    expect(page.locator("#failing")).to_contain_text("camera door")
    expect(page.locator("#health")).to_have_text(re.compile("1 of [0-9]+ checks fail"))
    expect(page).to_have_title("(!) device · edgeloop")
    assert serious_faults(page) == []
    service.cameras["door"].on.set()
    expect(page.locator("#failing")).to_be_hidden()
    expect(page.locator("#health")).to_have_text("Ready")


def test_a_picture_is_enlarged_live_by_keyboard(page: Page) -> None:
    page.get_by_role("button", name="belt: live picture, large").focus()
    page.keyboard.press("Enter")
    large = page.get_by_role("dialog").locator("img")
    until(lambda: large.evaluate("img => img.naturalWidth") == 160)
    assert serious_faults(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="belt: live picture, large")).to_be_focused()


def test_events_come_in_with_their_pictures(page: Page) -> None:
    item = page.locator("#events li").filter(has=page.locator("img")).first
    expect(item).to_contain_text(re.compile("block #[0-9]+ entered yard"))
    item.get_by_role("button", name=re.compile("^Picture: block")).click()
    until(lambda: page.get_by_role("dialog").locator("img").evaluate(_IS_SHOWN))
    page.get_by_role("button", name="Close").click()
    newest = page.locator("#events li").first.inner_text()
    until(lambda: page.locator("#events li").first.inner_text() != newest)


def test_a_clip_is_played(service: Running, page: Page) -> None:
    clips, stem = service.folder / "state" / "clips", "20261129-135436-123_belt"
    with av.open(str(clips / f"{stem}.mp4"), "w") as written:
        stream = written.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for index in range(20):
            written.mux(stream.encode(av.VideoFrame.from_ndarray(draw_block(index), format="bgr24")))
        written.mux(stream.encode(None))
    event = {"id": "clip-0", "camera": "belt", "event": "enter", "place": "shelf", "class": "block"}
    values = {**event, "tracker_id": 7, "wall_time": time.time() + 60, "clip": f"{stem}.mp4"}
    (clips / f"{stem}_enter_0.json").write_text(json.dumps(values))
    page.reload()
    page.get_by_role("button", name="Clip: block #7 entered shelf").click()
    video = page.get_by_role("dialog").locator("video")
    until(lambda: video.evaluate("video => video.currentTime > 0.2 && video.videoWidth === 160"))
    assert serious_faults(page) == []
    page.keyboard.press("Escape")
    for file in clips.glob(f"{stem}*"):
        file.unlink()


def test_the_page_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious_faults(page) == []


def test_a_lost_connection_is_said_and_made_again(page: Page) -> None:
    page.route("**/api/*", lambda route: route.abort())
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.reload()
    expect(page.locator("#health")).to_have_text("No connection to the device")
    page.unroute("**/api/*")
    expect(page.locator("#health")).to_have_text("Ready")
    page.console_errors.clear()  # type: ignore[attr-defined]


def test_nobody_but_the_device_is_asked(service: Running, open_page: Callable[[str], Page]) -> None:
    page = open_page("about:blank")
    asked = note_requests(page)
    page.goto(service.url)
    expect(page.locator("#health")).to_have_text("Ready")
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith(service.url)] == []
