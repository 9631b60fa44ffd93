"""The page opens, shows the frames, and asks nobody but its server."""

from __future__ import annotations

import json

from playwright.sync_api import Page, expect

from tests.labeling.studio.serving import Serving


def test_the_page_opens(page: Page) -> None:
    expect(page.get_by_role("navigation").get_by_text("Draw")).to_be_visible()


def test_boxes_are_saved_at_once(studio: Serving) -> None:
    box = {"xyxy": [10, 20, 60, 80], "name": "bolt"}
    base = studio.api("GET", "frames/1/boxes")["base"]
    studio.api("PUT", "frames/1/boxes", {"base": base, "boxes": [box], "complete": True})
    coco = json.loads(studio.project.exemplars.read_text())
    assert [image["file_name"] for image in coco["images"]] == ["001.jpg"]
    assert coco["annotations"][0]["bbox"] == [10, 20, 50, 60]
    status, _, said = studio.ask("PUT", "api/frames/1/boxes", {"base": base, "boxes": [], "complete": True})
    assert status == 409
    assert json.loads(said)["current"]["boxes"][0]["name"] == "bolt"
