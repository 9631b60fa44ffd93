"""Built-in scenes as a source: `synth:NAME?query`.

Without `fps` the scene is footage: every frame, as fast as they are consumed. With `fps` it is a live camera,
paced by the clock.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.sources.footage import Footage
from edgeloop.edge.sources.live import LivePolicy, LiveSource
from edgeloop.edge.sources.query import RATE, Known, between, read_options
from edgeloop.edge.synth import SCENES, Scene, open_scene
from edgeloop.models.errors import UsageError

__all__ = ["SynthSource", "open_synth", "scene_of"]

NOMINAL_FPS = 30.0
"""Frames per second at which the scenes move naturally."""

CATCH_UP_S = 0.5
"""Longest delay in seconds that a live scene makes up for."""

MAX_SIDE = 4096
"""Largest width and height in pixels."""


@dataclass(frozen=True)
class _Query:
    seed: int = 1
    fps: float | None = None
    start: int = 0
    step: int = 1
    frames: int | None = None
    size: tuple[int, int] = (640, 480)
    change: int | None = None

    @property
    def indices(self) -> Iterator[int]:
        endless = itertools.count(self.start, self.step)
        return endless if self.frames is None else itertools.islice(endless, self.frames)


class SynthSource(Footage):
    """Scene as footage; `Frame.index` is the scene's own index, so that its truth can be looked up."""

    fps = NOMINAL_FPS

    def __init__(self, name: str, scene: Scene, query: _Query) -> None:
        """Prepare to render.

        Args:
            name: Source as the user wrote it.
            scene: The scene.
            query: Its frames to render.
        """
        self.name = name
        self.length = query.frames
        self._scene = scene
        self._indices = query.indices

    def __iter__(self) -> Iterator[Frame]:
        for index in self._indices:
            if self._stopped:
                return
            image = self._scene.render(index)
            time_s = index / NOMINAL_FPS
            yield Frame(image, index, time.monotonic(), time.time(), self.name, time_s)


def open_synth(text: str, policy: LivePolicy) -> Source:
    """Open a built-in scene.

    Args:
        text: `synth:NAME?seed=1&fps=30&start=0&step=1&frames=300&size=640x480&change=900`, every option
            optional.
        policy: How to treat late frames of a live scene.

    Returns:
        A source that is live if `fps` is given.

    Raises:
        UsageError: No such scene or option, or a value outside its range.
    """
    scene, query = _parse(text)
    if query.fps is None:
        return SynthSource(text, scene, query)
    images = _paced(scene, query.indices, 1 / query.fps)
    return LiveSource(text, images, fps=query.fps, first_index=query.start, policy=policy)


def scene_of(text: str, *, changing: bool = True) -> tuple[Scene, Callable[[int], int]]:
    """Open the scene of a source, to look up the truth of its frames.

    Args:
        text: As for `open_synth`.
        changing: False for the scene as it is without the change that the text names.

    Returns:
        The scene, and the map from `Frame.index` to its own index.

    Raises:
        UsageError: As of `open_synth`.
    """
    scene, query = _parse(text, changing=changing)
    step = 1 if query.fps is None else query.step  # a camera numbers its frames one by one
    return scene, lambda index: query.start + step * (index - query.start)


def _parse(text: str, *, changing: bool = True) -> tuple[Scene, _Query]:
    scene_name, _, query_text = text.removeprefix("synth:").partition("?")
    if scene_name not in SCENES:
        raise UsageError(f"source {text}: no scene {scene_name!r}; there are: {', '.join(SCENES)}")
    query = _Query(**read_options(text, query_text, _OPTIONS))
    change = query.change if changing else None
    return open_scene(scene_name, seed=query.seed, size=query.size, change=change), query


def _paced(scene: Scene, indices: Iterator[int], period_s: float) -> Generator[NDArray[np.uint8], None, None]:
    """Render each frame ahead of time and yield it when it is due, so that rendering adds no latency.

    After a short delay the scene catches up with the clock. If rendering cannot keep up at all, the camera is
    slower than stated and skips no frame.
    """
    due: float | None = None  # the clock starts with the first frame: setting up the scene takes time
    for index in indices:
        image = scene.render(index)
        now = time.monotonic()
        due = now if due is None else max(due + period_s, now - CATCH_UP_S)
        time.sleep(max(0.0, due - now))
        yield image


def _size(value: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", value)
    if not match or not all(32 <= int(side) <= MAX_SIDE for side in match.groups()):
        raise ValueError(value)
    return int(match[1]), int(match[2])


_OPTIONS: Known = {
    "seed": (between(int, 0, 2**31 - 1), "a whole number from 0"),
    **RATE,
    "start": (between(int, 0, 10**9), "a frame index from 0"),
    "step": (between(int, 1, 10**9), "scene frames from one to the next, from 1"),
    "frames": (between(int, 1, 10**9), "a number of frames from 1"),
    "size": (_size, f"WIDTHxHEIGHT, 32 to {MAX_SIDE} pixels a side"),
    "change": (between(int, 0, 10**9), "the frame index of a change, from 0"),
}
