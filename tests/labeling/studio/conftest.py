"""A studio that is being served, and its page in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Page

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


@pytest.fixture
def page(studio: Serving, open_page: Callable[[str], Page]) -> Page:
    """The page of the studio, in a browser."""
    return open_page(studio.url)
