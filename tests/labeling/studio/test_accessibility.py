"""Every tab can be used without seeing colors and without a mouse, as far as axe-core can tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from playwright.sync_api import Page, expect

from edgeloop.edge.synth import open_scene
from edgeloop.labeling.studio.exemplar_file import DrawnBox, DrawnFrame
from edgeloop.labeling.studio.studio_app import _TABS
from tests.labeling.footage import scene_coco
from tests.labeling.studio.serving import Serving, serve
from tests.serious_faults import serious_faults

SIZE = (320, 240)
NUMBERS = range(0, 120, 30)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The studio of four frames, one drawn, with a dataset, an audit under way, and a zone."""
    folder = tmp_path_factory.mktemp("accessible") / "frames"
    folder.mkdir()
    scene = open_scene("conveyor", seed=3, size=SIZE)
    for number in NUMBERS:
        cv2.imwrite(str(folder / f"frame_{number:04d}.jpg"), scene.render(number))
    with serve(folder) as serving:
        write_dataset(serving.project.dataset, folder)
        box = DrawnBox(xyxy=(10, 20, 60, 80), name="bolt")
        serving.project.drawn.put("frame_0000.jpg", DrawnFrame(boxes=(box,)))
        serving.api("POST", "audit/start", {"boxes": 4, "frames": 2})
        square = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]
        serving.api("PUT", "zones", {"zones": [{"name": "yard", "points": square}]})
        yield serving


def write_dataset(dataset: Path, frames: Path) -> None:
    """Labels of the scene as a dataset that `edgeloop label` could have written."""
    (dataset / "images" / "train").mkdir(parents=True)
    coco: dict[str, Any] = scene_coco(open_scene("conveyor", seed=3, size=SIZE), NUMBERS)
    for image, number in zip(coco["images"], NUMBERS, strict=True):
        name = Path(image["file_name"]).name
        (dataset / "images" / "train" / name).write_bytes((frames / name).read_bytes())
        image.update(file_name=f"images/train/{name}", width=SIZE[0], height=SIZE[1])
        image.update(source="belt.mp4", frame_index=number, split="train")
    for number, annotation in enumerate(coco["annotations"], start=1):
        annotation.update(id=number, score=0.5, prompt="similar")
    (dataset / "instances.json").write_text(json.dumps({**coco, "info": {}}))


@pytest.mark.parametrize("tab", [*_TABS, "draw/0"])
def test_no_part_of_a_tab_is_cut_off_on_a_phone(
    studio: Serving, open_page: Callable[[str], Page], tab: str
) -> None:
    page = open_page(f"{studio.url}#{tab}")
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator(f"studio-{tab.partition('/')[0]} > *").first).to_be_attached()
    page.wait_for_load_state("networkidle")
    right = "[...document.querySelectorAll('*')].map(own => own.getBoundingClientRect().right)"
    assert page.evaluate(f"Math.max(...{right})") <= 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("tab", _TABS)
def test_no_tab_has_a_serious_fault(studio: Serving, open_page: Callable[[str], Page], tab: str) -> None:
    page = open_page(f"{studio.url}#{tab}")
    expect(page.locator(f"studio-{tab} > *").first).to_be_visible()
    page.wait_for_timeout(400)  # requests of the tab
    assert serious_faults(page) == []
