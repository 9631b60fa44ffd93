"""Try tab: the bundle's boxes beside the labels, and on a clip."""

from __future__ import annotations

import http.client
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.blocks import draw_block
from tests.disc_finder import draw_discs, write_disc_finder
from tests.labeling.studio.serving import Serving


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Six frames of a bright block, which the model of the tests finds."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(6):
        cv2.imwrite(str(folder / f"{index:03d}.png"), draw_block(index))
    return folder


def test_a_bundle_is_tried_on_frames_and_on_a_clip(
    studio: Serving, page: Page, block_model: Path, clip: Path
) -> None:
    page.goto(f"{studio.url}#try")
    expect(page.get_by_role("link", name="Train and export")).to_be_visible()
    shutil.copy(block_model, studio.project.bundle)
    page.reload()
    expect(page.get_by_text("Frame 0")).to_be_visible()
    expect(page.get_by_role("img", name="Detector 1 box")).to_be_visible()
    expect(page.get_by_role("img", name="Labels not in the dataset")).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_text("Frame 5")).to_be_visible()

    page.get_by_role("button", name="Clip or camera").click()
    page.get_by_label("Source", exact=True).fill(str(clip))
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_label("Command line")).to_contain_text(str(clip))
    expect(page.get_by_text("ended after")).to_be_visible()
    expect(page.get_by_alt_text("Live picture")).to_be_visible()


def test_masks_of_a_bundle_are_shown(studio: Serving) -> None:
    image, (mask,) = draw_discs((320, 240), (180, 140), radius=70)
    cv2.imwrite(str(studio.project.path(0)), image)
    write_disc_finder(studio.project.bundle)
    for _ in range(2):  # found anew, and again
        (found,) = [own for own in studio.api("GET", "try/frames/0")["found"] if own["score"] > 0.5]
        (polygon,) = found["polygons"]
        canvas = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(canvas, [np.int32(np.reshape(polygon, (-1, 2)))], 1)
        assert (canvas & mask).sum() / (canvas | mask).sum() > 0.8


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("rtsp://user:hunter22@127.0.0.1:9/stream", "nobody answers"),
        ("nowhere.mp4", "no such file"),
        ("synth:nothing", "nothing"),
    ],
    ids=["stream", "file", "scene"],
)
def test_a_source_that_fails_says_so_in_one_line_without_its_secrets(
    studio: Serving, block_model: Path, source: str, said: str
) -> None:
    shutil.copy(block_model, studio.project.bundle)
    reply = studio.api("POST", "try/preview/start", {"source": source})
    assert "hunter22" not in str(reply)
    studio.ask("GET", "api/try/preview/video")  # ends with the source
    status = studio.api("GET", "try/preview")
    assert status["status"] == "failed"
    assert said in status["error"]
    assert "hunter22" not in str(status)


def test_the_standard_input_is_no_source_of_the_page(studio: Serving, block_model: Path) -> None:
    shutil.copy(block_model, studio.project.bundle)
    for source in ("-", "v4l2src ! appsink", ""):
        assert studio.ask("POST", "api/try/preview/start", {"source": source})[0] == 422


def test_of_two_pages_that_open_a_source_the_last_one_shows(studio: Serving, block_model: Path) -> None:
    shutil.copy(block_model, studio.project.bundle)
    sources = [f"synth:conveyor?seed={number}&fps=20" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        said = [
            *pool.map(lambda own: studio.ask("POST", "api/try/preview/start", {"source": own})[0], sources)
        ]
    assert said == [200] * 4
    assert sum("_run" in str(thread) and thread.is_alive() for thread in threading.enumerate()) == 1
    studio.api("POST", "try/preview/stop")


def test_pages_that_watch_leave_threads_for_the_others(studio: Serving, block_model: Path) -> None:
    shutil.copy(block_model, studio.project.bundle)
    studio.api("POST", "try/preview/start", {"source": "synth:conveyor?fps=5"})
    parts = urlsplit(studio.url)
    links = [http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20) for _ in range(9)]
    try:
        for link in links[:-1]:
            link.request("GET", f"{parts.path}api/try/preview/video")
            reply = link.getresponse()
            assert (reply.status, reply.read(2)) == (200, b"--")
        links[-1].request("GET", f"{parts.path}api/try/preview/video")
        assert links[-1].getresponse().status == 503
    finally:
        for link in links:
            link.close()
