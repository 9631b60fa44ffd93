"""The audit tab: a whole audit by keyboard, and one that goes on where another page left it."""

from __future__ import annotations

import json
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.labeling.audits import write_audited
from tests.labeling.studio.serving import Serving


def test_without_a_dataset_it_says_so(studio: Serving, open_page: Callable[[str], Page]) -> None:
    page = open_page(studio.url + "#audit")
    expect(page.get_by_text("No labels yet.")).to_be_visible()
    expect(page.get_by_role("button", name="Draw a sample")).to_be_hidden()


def test_an_audit_by_keyboard(studio: Serving, open_page: Callable[[str], Page]) -> None:
    dataset = write_audited(studio.project.dataset)
    page = open_page(studio.url + "#audit")
    page.get_by_label("Boxes, for precision").fill("10")
    page.get_by_label("Frames, for recall").fill("1")
    page.get_by_label("Frames, for recall").press("Enter")
    other = open_page(studio.url + "#audit")
    for number in range(1, 11):
        expect(page.get_by_text(f"Box {number} of 10")).to_be_visible()
        expect(page.locator("frame-view")).to_have_attribute("aria-busy", "false")
        page.keyboard.press("r" if number == 2 else "a")
    expect(page.get_by_text("Frame 1 of 1")).to_be_visible()
    expect(other.get_by_role("progressbar", name="Answered")).to_have_js_property("value", 10)
    expect(page.locator("frame-view")).to_have_attribute("aria-busy", "false")
    for key in ("ArrowLeft", "ArrowUp", " "):
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="1 missed")).to_be_visible()
    page.keyboard.press(" ")  # the same place again: removed
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    page.keyboard.press("Enter")
    expect(page.get_by_text("0.900")).to_be_visible()
    answers = json.loads((dataset / "audit.json").read_text())["answers"]
    assert answers["boxes"] == [True, False, *[True] * 8]
    [[[x, y]]] = answers["frames"]
    assert 70 < x < 80
    assert 55 < y < 65
    page.reload()
    expect(page.get_by_text("Frame 1 of 1")).to_be_visible()
    expect(page.locator("frame-view")).to_have_attribute("aria-busy", "false")
    page.keyboard.press("b")
    expect(page.get_by_role("button", name="Accept")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Another sample").click()
    expect(page.get_by_text("keeps the earlier answers")).to_be_visible()
