"""Fixtures of all tests: a predictable detector, footage to run it on, and the command line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import onnx
import pytest

from edgeloop.edge.cli.app import main
from tests.blocks import block_finder, draw_block
from tests.calls import Outcome

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

# The processes of a run share the cores: torch on two threads waits at every step for the one that has none.
os.environ.setdefault("OMP_NUM_THREADS", "1")

PAGE_MS = 30_000  # longest wait for what a page shows; a busy machine lets it wait


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests slow that use a slow fixture, and run files with slow tests first.

    Of two processes that share the files, one would otherwise wait for the last slow file of the other.
    """
    for item in items:
        if "_slow" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    place = {path: number for number, path in enumerate(dict.fromkeys(item.path for item in items))}
    # Backwards: the whole loop and labeling take longest, and are the last by name.
    items.sort(key=lambda item: (item.path not in slow, -place[item.path]))


@pytest.fixture(scope="session")
def _slow() -> None:
    """Marker for fixtures that take long: the tests that use one are marked slow."""


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cache folder of the tests, so that they neither read nor write that of the user."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def block_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX detector with the metadata and the end-to-end head of an Ultralytics export.

    Its one detection is the bounding box of all pixels brighter than 0.8, so tests know what it must find.
    """
    path = tmp_path_factory.mktemp("model") / "block.onnx"
    onnx.save(block_finder(), str(path))
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 40 frames, 160x120 at 20 fps: a white block that moves to the right."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 20, (160, 120))
    for index in range(40):
        writer.write(draw_block(index))
    writer.release()
    return path


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images named 1.png to 12.png, whose order by name is not their order by number."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(12):
        cv2.imwrite(str(folder / f"{index + 1}.png"), draw_block(index))
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real footage and models, which are not part of the project."""
    folder = Path(os.environ.get("EDGELOOP_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real footage at {folder}; EDGELOOP_SHARED names another place")
    return folder


@pytest.fixture
def edgeloop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call `edgeloop` with arguments, in this process."""

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["edgeloop", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        assert isinstance(left.value.code, int)
        return Outcome(left.value.code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def browser(_slow: None) -> Iterator[Browser]:
    """Chromium of the system, without a screen."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser: apt install chromium")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PAGE_MS)
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
    context.set_default_timeout(PAGE_MS)
    errors: list[str] = []

    def described(said: ConsoleMessage) -> str:
        return f"{said.text} {said.location.get('url', '')}".rstrip()

    def show(url: str) -> Page:
        page = context.new_page()
        page.on("console", lambda said: errors.append(described(said)) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.console_errors = errors  # type: ignore[attr-defined]
        page.goto(url)
        return page

    yield show
    context.close()
    assert errors == []
