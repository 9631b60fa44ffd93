"""Proposals on the page: looked at, accepted, rejected and taken back by keys."""

from __future__ import annotations

import json
from collections.abc import Callable

from playwright.sync_api import Page, expect

from edgeloop.labeling.engine.promise import Estimate, Promise
from edgeloop.labeling.studio.proposals.messages import Found, Learned, Progressed, ProposedBox
from tests.labeling.studio.serving import Serving
from tests.serious_faults import serious_faults
from tests.waiting import until

HALF = Estimate(value=0.8, low=0.5, high=1.0)
BOXES = tuple(
    ProposedBox(xyxy=(20 + 60 * k, 30, 60 + 60 * k, 80), name="bolt", score=score)
    for k, score in enumerate((0.95, 0.8, 0.6, 0.3))
)


def test_proposals_by_keys(studio: Serving, open_page: Callable[[str], Page]) -> None:
    proposer = studio.proposer
    promise = Promise(map50=HALF, precision=HALF, recall=HALF, too_few=())
    proposer.take(Learned(round=1, learned_from=2, estimate=promise))
    for frame in (2, 4):
        proposer.take(Found(frame=frame, round=1, boxes=BOXES))
    proposer.take(Progressed(state="ready", learned_from=2, progress=1.0))
    page = open_page(studio.url + "#draw/2")
    panel = page.get_by_role("region", name="Proposals")
    expect(panel).to_contain_text("Learned from 2 frames")
    expect(panel).to_contain_text("Precision 80")
    expect(panel).to_contain_text("3 here, 1 below")
    expect(page.get_by_role("option", name="Frame 4, not drawn, 3 proposed")).to_be_visible()
    expect(panel.get_by_role("button", name="Frame 4: bolt, 95")).to_be_visible()

    assert serious_faults(page) == []

    def drawn() -> list[float]:
        return [box["xyxy"][0] for box in studio.api("GET", "frames/2/boxes")["boxes"]]

    page.keyboard.press("y")
    until(lambda: drawn() == [20])
    expect(panel).to_contain_text("2 here")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(panel).to_contain_text("1 here")
    rejected = studio.project.work / "rejected.jsonl"
    until(lambda: [box["xyxy"][0] for box in json.loads(rejected.read_text())["boxes"]] == [140])
    page.keyboard.press("u")
    expect(panel).to_contain_text("2 here")
    page.keyboard.press("p")
    expect(panel.get_by_text("2 here")).to_be_hidden()
    page.keyboard.press("p")
    panel.get_by_role("slider").fill("0.25")
    expect(panel).to_contain_text("3 here")
    page.locator("frame-view").focus()
    page.keyboard.press("Control+z")
    expect(panel).to_contain_text("4 here")
    page.keyboard.press("Shift+y")
    until(lambda: drawn() == [20, 80, 140, 200])
    assert studio.api("GET", "frames/2/boxes")["complete"]
    expect(page.get_by_text("Frame 4", exact=True)).to_be_visible()
    page.keyboard.press("n")  # beside open proposals
    expect(page.get_by_text("Some objects may have no box yet")).to_be_visible()
    until(lambda: len(studio.api("GET", "frames/4/boxes")["boxes"]) == 1)
    assert not studio.api("GET", "frames/4/boxes")["complete"]
    page.keyboard.press("Shift+x")
    expect(panel).to_contain_text("None here")


def test_enter_goes_to_the_frame_to_draw_next_and_an_arrow_to_the_one_beside(
    studio: Serving, open_page: Callable[[str], Page]
) -> None:
    studio.proposer.take(Learned(round=1, learned_from=1, estimate=None))
    studio.proposer.take(Found(frame=4, round=1, boxes=BOXES))
    page = open_page(studio.url + "#draw/0")
    expect(page.get_by_role("button", name="Draw next: frame 4")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Frame 4", exact=True)).to_be_visible()
    until(lambda: studio.api("GET", "frames/0/boxes")["complete"])
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("Frame 5", exact=True)).to_be_visible()
    assert not studio.api("GET", "frames/4/boxes")["complete"]
    page.keyboard.press("?")
    expect(page.get_by_text("Complete: opens the frame to draw next")).to_be_visible()


def test_what_does_not_run_is_said(page: Page) -> None:
    page.get_by_role("option").first.click()
    panel = page.get_by_role("region", name="Proposals")
    expect(panel).to_contain_text("Not running.")
