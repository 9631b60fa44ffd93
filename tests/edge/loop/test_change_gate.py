"""Frames in which nothing changed: what is skipped, and what must never be."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.loop.change_gate import LEARN_FRAMES, LOOK_S, ChangeGate
from edgeloop.edge.loop.open_stream import open_stream
from edgeloop.edge.loop.pipeline import run_streams
from edgeloop.edge.result import Result
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.sources import as_source
from edgeloop.edge.tracking import ZoneCounter, ZoneFile
from edgeloop.models.detections import Detections
from tests.blocks import draw_block
from tests.calls import edgeloop

FPS = 10.0
WIDTH, HEIGHT = 320, 180
SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]


class Scene:
    """Noisy picture of a wall, seen by a gate and a detector at ten frames a second.

    Attributes:
        picture: HxWx3 uint8 BGR, without noise.
        detections: Objects that the detector finds in it.
        looks: True for each frame that was looked at.
    """

    def __init__(self, noise: float = 3.0) -> None:
        self.picture = np.tile(np.linspace(60, 180, WIDTH, dtype=np.uint8)[None, :, None], (HEIGHT, 1, 3))
        self.detections = Detections.empty()
        self.looks = list[bool]()
        self.gate = ChangeGate(0.25)
        self._noise = np.random.default_rng(1).normal(0, noise, (31, HEIGHT, WIDTH, 1)).astype(np.float32)

    def show(self, frames: int = 1, *, fails: bool = False) -> list[bool]:
        """Show the picture for some frames; returns which of them were looked at."""
        for _ in range(frames):
            noise = self._noise[len(self.looks) % len(self._noise)]
            image = np.clip(self.picture + noise, 0, 255).astype(np.uint8)
            at_s = len(self.looks) / FPS
            earlier = self.gate.earlier(image, at_s)
            self.looks.append(earlier is None)
            if earlier is None and not fails:
                self.gate.look(self.detections)
        return self.looks[-frames:]


def box(x: float, y: float, side: float, score: float = 0.9) -> Detections:
    return Detections(
        np.array([[x, y, x + side, y + side]], np.float32),
        np.array([score], np.float32),
        np.zeros(1, np.int64),
    )


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    assert all(scene.show(LEARN_FRAMES))
    scene.show(20)
    return scene


@pytest.mark.parametrize("noise", [0.0, 3.0, 12.0], ids=["no noise", "usual noise", "night"])
def test_a_still_scene_is_looked_at_every_two_seconds_alone(noise: float) -> None:
    scene = Scene(noise)
    scene.show(100)
    looks = np.flatnonzero(scene.show(200))
    assert set(np.diff(looks)) <= {LOOK_S * FPS, LOOK_S * FPS + 1}  # times are not exact


@pytest.mark.parametrize("contrast", [60, -60])
def test_a_small_object_is_looked_at_in_its_first_frame(scene: Scene, contrast: int) -> None:
    scene.picture[50:56, 150:154] = scene.picture[50:56, 150:154].astype(int) + contrast
    assert scene.show() == [True]


def test_slow_changes_add_up(scene: Scene) -> None:
    changes = list[NDArray[np.uint8]]()
    for level in range(1, 20):
        scene.picture[50:80, 150:170] += 2
        changes.append(scene.picture)
        if scene.show() == [True] and level > 1:
            break
    assert 1 < level < 12


def test_another_exposure_is_no_change(scene: Scene) -> None:
    scene.picture = scene.picture + np.uint8(6)
    assert sum(scene.show(10)) <= 1


def test_an_object_that_moves_is_looked_at_until_a_second_later(scene: Scene) -> None:
    for step in range(10):
        scene.detections = box(50 + 4 * step, 50, 20)
        scene.picture[50:70, 46 + 4 * step : 70 + 4 * step] = 230
        assert scene.show() == [True]
    assert all(scene.show(9))
    assert sum(scene.show(20)) <= 2


def test_an_object_that_the_gate_missed_is_held_from_its_next_look_on(scene: Scene) -> None:
    scene.detections = box(100, 100, 40)  # as if it had the color of the wall
    looks = scene.show(40)
    first = looks.index(True)
    assert first < LOOK_S * FPS
    assert all(looks[first : first + 10])


def test_an_uncertain_box_that_comes_and_goes_holds_nothing(scene: Scene) -> None:
    looks = list[bool]()
    for number in range(100):
        scene.detections = Detections.empty() if number % 3 else box(100, 100, 40, score=0.3)
        looks += scene.show()
    assert sum(looks) < 10


def test_a_frame_whose_detection_failed_is_looked_at_again(scene: Scene) -> None:
    scene.picture[50:70, 150:170] = 250
    assert scene.show(3, fails=True) == [True] * 3


def test_what_flickers_is_learned(scene: Scene) -> None:
    wall = scene.picture.copy()
    for number in range(600):
        scene.picture = wall.copy()
        scene.picture[20:30, 20:30] += np.uint8(40 * (number % 2))
        scene.show()
    assert sum(scene.looks[-100:]) < 20
    scene.picture[100:106, 150:154] = 250
    assert scene.show() == [True], "elsewhere it sees as well as before"


def test_another_size_is_looked_at(scene: Scene) -> None:
    image = np.asarray(cv2.resize(scene.picture, (640, 360)), np.uint8)
    assert scene.gate.earlier(image, 5.0) is None


def test_ids_and_dwell_times_live_on_in_frames_that_are_not_detected_again(block_model: Path) -> None:
    results, yard = (
        list[Result](),
        {"name": "yard", "polygon": SQUARE, "dwell_s": 2},
    )
    detector = Detector(block_model, threads=1)
    with as_source([draw_block(0) for _ in range(150)]) as source:  # five seconds
        zones = ZoneCounter(ZoneFile.model_validate({"zones": [yard]}), detector.names, "zones.json")
        stream = open_stream(source, detector, zones=zones, skip_unchanged=True)
        stream.on_result = results.append
        run_streams([stream], detector)
    unchanged = [result.unchanged for result in results]
    assert stream.meter.frames == 150
    assert 80 < stream.unchanged == sum(unchanged) < 125
    assert [event.kind for result in results for event in result.events or ()] == ["enter", "dwell"]
    assert [result.detections.tracker_id for result in results[-100:]] == [0] * 100
    skipped = results[unchanged.index(True)]
    assert set(skipped.timings.stages_ms) == {"wait", "compare", "track"}
    assert sum(skipped.timings.stages_ms.values()) == pytest.approx(skipped.timings.latency_ms)


def test_the_command_counts_what_it_did_not_detect_again(block_model: Path, tmp_path: Path) -> None:
    for index in range(50):
        cv2.imwrite(str(tmp_path / f"{index:03}.png"), draw_block(0))
    done = edgeloop(
        "run", block_model, tmp_path, "--skip-unchanged", "--json", "--summary", tmp_path / "run.json"
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    unchanged = sum(line.get("unchanged", False) for line in lines)
    assert json.loads((tmp_path / "run.json").read_text())["unchanged"] == unchanged > 0
    assert f"unchanged {unchanged} frames" in done.stderr
