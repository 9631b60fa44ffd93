"""Label tab: a real job of what moves, its labels, and labeling again."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Page, expect

from edgeloop.edge.synth import open_scene
from tests.labeling.studio.serving import Serving


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Ten frames of a conveyor, 240x180: enough for a background model."""
    folder = tmp_path / "frames"
    folder.mkdir()
    scene = open_scene("conveyor", seed=3, size=(240, 180))
    for number in range(10):
        cv2.imwrite(str(folder / f"{number:03d}.jpg"), scene.render(30 * number))
    return folder


def masks(studio: Serving) -> list[list[float]]:
    """Polygons of the labels that the tab shows."""
    sheet = studio.api("GET", "labels")["sheet"]
    return [polygon for frame in sheet for box in frame["boxes"] for polygon in box["polygons"]]


def test_label_from_the_page(studio: Serving, page: Page) -> None:
    page.goto(f"{studio.url}#label")
    expect(page.get_by_text("there is nothing to learn from yet")).to_be_visible()
    expect(page.get_by_role("button", name="Label", exact=True)).to_be_disabled()

    page.get_by_text("More options").click()
    page.get_by_label("Everything that moves").check()
    command = page.get_by_label("Command line")
    expect(command).to_contain_text("--classes moving")
    page.get_by_label("Random seed").fill("3")
    expect(command).to_contain_text("--seed 3")
    page.get_by_role("combobox", name="Labels").select_option("masks")
    expect(command).to_contain_text("--task segment")

    page.keyboard.press("Escape")
    page.get_by_role("button", name="Label", exact=True).click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_role("button", name="Label again")).to_be_visible(timeout=120_000)
    expect(page.get_by_text(re.compile(r"\d of 10 frames labeled: .*train"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"Frame \d: \d+ moving")).first).to_be_visible()
    expect(page.get_by_role("link", name="Review the labels")).to_be_visible()
    assert (studio.project.dataset / "data.yaml").is_file()
    assert studio.api("GET", "jobs/label")["settings"]["seed"] == 3

    assert studio.api("GET", "labels")["task"] == "segment"
    assert any(masks(studio))
    assert studio.api("POST", "jobs/train/command", {})["command"].endswith("--task segment")
    assert "--task segment" in studio.api("GET", "review")["command"]

    page.get_by_role("combobox", name="Labels").select_option("boxes")
    page.get_by_role("button", name="Write boxes").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_role("button", name="Label again")).to_be_visible(timeout=120_000)
    assert studio.api("GET", "jobs/label")["message"] is None
    assert studio.api("GET", "labels")["task"] == "detect"
    assert not (studio.project.work / "dataset.1").exists()
    assert not any(masks(studio))
    assert "--task" not in studio.api("POST", "jobs/train/command", {})["command"]

    page.get_by_role("button", name="Label again").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert (studio.project.work / "dataset.1" / "data.yaml").is_file()
    page.get_by_role("button", name="Pause").click()
    over = page.get_by_role("button", name=re.compile("^(Go on|Label|Label again)$"))
    expect(over).to_be_visible(timeout=20_000)


def test_every_verb_takes_its_task(studio: Serving) -> None:
    for verb in ("label", "train", "teach"):
        command = f"jobs/{verb}/command"
        assert "--task" not in studio.api("POST", command, {})["command"]
        assert "--task segment" in studio.api("POST", command, {"task": "segment"})["command"]
        assert studio.ask("POST", f"api/{command}", {"task": "pose"})[0] == 422


def test_options_that_make_no_sense_are_refused(studio: Serving) -> None:
    for verb, settings in (
        ("label", {"confidence": 2}),
        ("label", {"frames": "/etc"}),
        ("train", {"imgsz": 33}),
        ("export", {"target": "--help"}),
        ("export", {"chip": "rk1"}),
        ("teach", {"source": "-"}),
        ("teach", {"source": "--help"}),
        ("teach", {"source": "rtsp://viewer:secret@127.0.0.1/cam"}),
        ("teach", {"count": 1}),
    ):
        status, _, _ = studio.ask("POST", f"api/jobs/{verb}/start", {"settings": settings})
        assert status == 422, settings
    assert studio.ask("POST", "api/jobs/collect/start", {})[0] == 422
    assert studio.api("GET", "jobs/export/options")["properties"]["precision"]
