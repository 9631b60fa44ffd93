"""A studio that is being served, and a real browser that shows it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from edgeloop.edge.synth import open_scene
from tests.labeling.studio.serving import Serving, serve

FRAMES = 6


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Six frames of a conveyor, 320x240, and one that cannot be read."""
    folder = tmp_path / "frames"
    folder.mkdir()
    scene = open_scene("conveyor", seed=3, size=(320, 240))
    for number in range(FRAMES):
        cv2.imwrite(str(folder / f"{number:03d}.jpg"), scene.render(30 * number))
    (folder / "broken.jpg").write_bytes((folder / "000.jpg").read_bytes()[:3000])
    return folder


@pytest.fixture
def studio(frames: Path) -> Iterator[Serving]:
    """The studio of those frames, in this process."""
    with serve(frames) as serving:
        yield serving


@pytest.fixture(scope="session")
def browser(_slow: None) -> Iterator[Browser]:
    """Chromium of the system, without a screen."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser: apt install chromium")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Opens a page, 1280x800; the test fails if its console shows an error that is not expected.

    A test that provokes an error clears `page.console_errors`.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    errors: list[str] = []

    def show(url: str) -> Page:
        page = context.new_page()
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.console_errors = errors  # type: ignore[attr-defined]
        page.goto(url)
        return page

    yield show
    context.close()
    assert errors == []


@pytest.fixture
def page(studio: Serving, open_page: Callable[[str], Page]) -> Page:
    """The page of the studio, in a browser."""
    return open_page(studio.url)
