"""Pictures and clips of events: real streams, real files, a full disk, a killed process."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.result import Result, Sink, Timings
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.clips.clips_part import QUEUE, ClipsPart, packet_seconds
from edgeloop.edge.service.clips.event_clip import EventClip
from edgeloop.edge.service.clips.event_files import list_events
from edgeloop.edge.service.clips.leftovers import clear_leftovers
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.service.service_part import ServiceEvent
from edgeloop.edge.sources import LivePolicy, open_source
from edgeloop.edge.sources.live import LiveSource
from edgeloop.edge.sources.packets.stream_reader import connect_stream
from edgeloop.models.detections import Detections
from tests.edge.sources.packets.numbered_stream import (
    FPS,
    MULTIPART,
    mpeg_ts,
    multipart,
    number_of,
    picture,
    served,
)
from tests.small_disk import small_disk
from tests.waiting import until

SECONDS = {"before_s": 0.4, "after_s": 0.2}


def configured(state: Path, *, free_mb: float = 0.0, **clips: Any) -> ServiceConfig:
    return ServiceConfig.model_validate(
        {
            "state": state,
            "models": {"m": {}},
            "cameras": {"gate": {"source": "0"}, "yard": {"source": "1", "clips": False}},
            "clips": {**SECONDS, **clips},
            "health": {"free_mb": free_mb},
        }
    )


@dataclass
class Camera:
    """The clips of one camera, whose frames the test takes."""

    source: LiveSource
    part: ClipsPart
    board: Board
    folder: Path
    sinks: list[Sink] = field(default_factory=list)
    frames: Iterator[Frame] | None = None
    newest: Frame | None = None
    fired: int = 0

    def play(self, until: int, events: Iterable[int] = ()) -> None:
        """Take frames until one bears a number; each of the numbers of `events` fires one on its way."""
        waiting = sorted(events)
        self.frames = self.frames or iter(self.source)
        for frame in self.frames:
            for sink in self.sinks:
                sink.write(Result(frame, Detections.empty(), Timings(0.0, {})))
            number, self.newest = number_of(frame.image), frame
            while waiting and number >= waiting[0]:
                self.fire(tracker_id=waiting.pop(0))
            if number >= until:
                return

    def fire(self, tracker_id: int = 0, camera: str = "gate", kind: str = "enter") -> None:
        assert self.newest is not None
        self.fired += 1
        self.part.listener()(
            ServiceEvent(
                id=f"5f3a-{self.fired:08x}",
                camera=camera,
                kind=kind,
                place="yard",
                class_name="block",
                tracker_id=tracker_id,
                wall_time=self.newest.wall_time,
                captured_at=self.newest.captured_at,
                dwell_s=None,
                direction=None,
                confidence=0.9,
                xyxy=(10.0, 60.0, 100.0, 200.0),
                image=self.newest.image,
            )
        )

    @property
    def figures(self) -> dict[str, float]:
        return self.board.figures().get("clips", {})

    def wait_for(self, settled: int, seconds: float = 30.0) -> None:
        """Wait until so many events are written or dropped."""
        ends_at = time.monotonic() + seconds
        while self.figures.get("written", 0) + self.figures.get("dropped", 0) < settled:
            assert time.monotonic() < ends_at, self.figures
            time.sleep(0.02)


@contextmanager
def running(source: LiveSource, config: ServiceConfig) -> Iterator[Camera]:
    board = Board("device")
    state = board.cameras["gate"] = CameraState("gate", "m", Stream(source, Meter(["block"])))
    part = ClipsPart(config, board)
    folder = config.clips.folder if config.clips and config.clips.folder else config.state / "clips"
    camera = Camera(source, part, board, folder, list(part.sinks(state)))
    with source:
        part.start()
        try:
            yield camera
        finally:
            part.close()


@contextmanager
def filmed(
    pieces: Callable[[], Iterable[bytes]], config: ServiceConfig, kind: str = "video/mp2t"
) -> Iterator[Camera]:
    policy = LivePolicy(
        reconnect_s=math.inf, connect_stream=connect_stream, packets_s=packet_seconds(config, "gate")
    )
    with served(pieces, kind) as address:
        source = open_source(address, policy)
        assert isinstance(source, LiveSource)
        with running(source, config) as camera:
            yield camera


def pictures(clip: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(clip)) as container:
        frames = [*container.decode(video=0)]
    stamps = [frame.time or 0.0 for frame in frames]
    assert all(earlier < later for earlier, later in pairwise(stamps))
    return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in frames]


def numbers(clip: Path) -> list[int]:
    return [number_of(image) for image in pictures(clip)]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def only(paths: Iterable[Path]) -> Path:
    (path,) = paths
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "suffix"), [("libx264", ".mp4"), ("libx265", ".mp4"), ("mjpeg", ".mkv")])
def test_an_event_leaves_a_picture_and_a_clip_from_before_to_after(
    tmp_path: Path, encoder: str, suffix: str
) -> None:
    is_jpeg = encoder == "mjpeg"
    encode = (lambda: multipart(count())) if is_jpeg else (lambda: mpeg_ts(count(), codec=encoder))
    with filmed(encode, configured(tmp_path), MULTIPART if is_jpeg else "video/mp2t") as camera:
        camera.play(50, events=[35])
        camera.wait_for(1)
        event = list_events(camera.folder, 9)[0]
        figures = camera.figures
    assert event.clip is not None
    assert event.picture is not None
    assert event.clip.suffix == suffix
    seen = numbers(event.clip)
    assert seen == list(range(seen[0], seen[0] + len(seen))), "each picture once"
    assert 35 - 0.4 * FPS - 10 <= seen[0] <= 35 - 0.2 * FPS, "from the key frame before"
    assert seen[-1] == pytest.approx(35 + 0.2 * FPS, abs=5)
    length = event.values["clip_to"] - event.values["clip_from"]
    assert length == pytest.approx((len(seen) - 1) / FPS, abs=0.2)
    assert event.values["clip_from"] < event.values["wall_time"] < event.values["clip_to"]
    drawn = cv2.imread(str(event.picture))
    assert drawn is not None
    assert number_of(np.asarray(drawn, np.uint8)) == event.values["tracker_id"] == 35
    assert (figures["written"], figures["dropped"]) == (1, 0)
    assert figures["bytes"] == pytest.approx(size_of(camera.folder), abs=9), "JSON is written again"
    assert [path for path in camera.folder.iterdir() if path.suffix in (".partial", ".part")] == []


@pytest.mark.slow
def test_events_whose_seconds_overlap_share_a_clip(tmp_path: Path) -> None:
    with filmed(lambda: mpeg_ts(count()), configured(tmp_path)) as camera:
        camera.play(60, events=[20, 26, 32, 50])
        camera.fire(kind="leave")
        camera.fire(camera="yard")
        camera.wait_for(4)
        camera.play(110, events=[95])
        camera.wait_for(5)
    clip, later = sorted(camera.folder.glob("*.mp4"))
    assert numbers(later)[0] > numbers(clip)[-1]
    events = list_events(camera.folder, 9)
    assert events.pop(0).clip == later
    assert [event.values["tracker_id"] for event in events] == [50, 32, 26, 20]
    assert {event.clip for event in events} == {clip}
    assert len({event.values["clip_to"] for event in events}) == 1
    assert {*range(8, 56)} <= set(numbers(clip))


@pytest.mark.slow
def test_a_camera_without_packets_has_a_small_clip_of_its_frames(tmp_path: Path) -> None:
    def frames() -> Generator[NDArray[np.uint8]]:
        for number in count():
            yield picture(number, (1280, 720))
            time.sleep(1 / FPS)

    with running(LiveSource("gate", frames(), fps=FPS), configured(tmp_path)) as camera:
        camera.play(40, events=[25])
        camera.wait_for(1)
    images = pictures(only(camera.folder.glob("*.mkv")))
    assert {image.shape for image in images} == {(360, 640, 3)}
    assert 2 <= len(images) <= 5


@pytest.mark.slow
def test_a_clip_is_of_one_size(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield from mpeg_ts(range(44), size=(320, 240))
        yield from mpeg_ts(count(44), size=(480, 320))

    with filmed(pieces, configured(tmp_path, after_s=0.5)) as camera:
        camera.play(84, events=[35, 60])
        camera.wait_for(2)
    after, before = list_events(camera.folder, 9)
    assert before.clip is not None
    assert after.clip is not None
    assert {image.shape for image in pictures(before.clip)} == {(240, 320, 3)}
    assert {image.shape for image in pictures(after.clip)} == {(320, 480, 3)}
    assert numbers(before.clip)[-1] == 43
    assert numbers(after.clip)[0] >= 44


@pytest.mark.slow
def test_a_clip_goes_on_over_a_lost_connection(tmp_path: Path) -> None:
    with filmed(lambda: mpeg_ts(range(60)), configured(tmp_path, after_s=3.0)) as camera:
        camera.play(50, events=[50])
        camera.play(58)
        camera.play(59)
        camera.play(30)
        camera.part.close()
    seen = numbers(only(camera.folder.glob("*.mp4")))
    break_at = seen.index(59)
    assert seen[break_at + 1] == 0
    assert len(seen) > break_at + 20


@pytest.mark.slow
def test_a_full_disk_is_said_once_and_once_when_there_is_room_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "edgeloop.edge.service.clips")
    with small_disk(tmp_path / "disk") as disk:
        config = configured(tmp_path, folder=disk / "clips", free_mb=1.0)
        with filmed(lambda: mpeg_ts(count()), config) as camera:
            (disk / "ballast").write_bytes(bytes(3_500_000))
            camera.play(40, events=[20, 25, 30])
            camera.wait_for(3)
            assert (camera.figures["dropped"], camera.figures["written"]) == (3, 0)
            assert list(camera.folder.iterdir()) == []
            (disk / "ballast").unlink()
            camera.play(80, events=[65])
            camera.wait_for(4)
            assert (camera.figures["dropped"], camera.figures["written"]) == (3, 1)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "no room in" in messages[0]
    assert "written again" in messages[1]
    assert [record.__dict__["event"] for record in caplog.records] == ["clips-lost", "clips-back"]


@pytest.mark.slow
def test_a_disk_that_fills_in_the_middle_keeps_what_was_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        config = configured(tmp_path, folder=disk / "clips", after_s=1.0)
        with filmed(lambda: multipart(count()), config, MULTIPART) as camera:
            camera.play(50, events=[40])
            subprocess.run(["dd", "if=/dev/zero", f"of={disk}/ballast"], check=False, capture_output=True)
            camera.play(90)
            camera.wait_for(1)
            assert camera.figures["dropped"] == 1
        seen = numbers(only(camera.folder.glob("*.mkv")))
        assert 20 <= seen[0] < seen[-1] < 75


@pytest.mark.slow
def test_the_oldest_files_make_room_within_the_budget(tmp_path: Path) -> None:
    with filmed(lambda: multipart(count()), configured(tmp_path, budget_mb=0.08), MULTIPART) as camera:
        camera.play(65, events=[15, 50])
        camera.wait_for(2)
        figures = camera.figures
    assert figures["bytes"] == pytest.approx(size_of(camera.folder), abs=9)
    assert figures["bytes"] <= 80_000
    assert figures["deleted"] > 0
    newest = list_events(camera.folder, 1)[0]
    assert newest.clip is not None
    assert newest.values["tracker_id"] == 50


def test_a_queue_that_is_full_counts_what_it_refuses(tmp_path: Path) -> None:
    source = LiveSource("gate", (picture(number) for number in range(1)), fps=None)
    board = Board("device")
    part = ClipsPart(configured(tmp_path), board)
    state = CameraState("gate", "m", Stream(source, Meter(["block"])))
    camera = Camera(source, part, board, tmp_path / "clips", list(part.sinks(state)))
    with source:
        camera.play(0)
    for _ in range(QUEUE + 4):
        camera.fire()
    part.start()
    part.close()
    figures = camera.figures
    assert figures["written"] + figures["dropped"] == QUEUE + 4
    assert figures["dropped"] >= 4


def test_a_folder_that_cannot_be_looked_at_costs_its_events_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = LiveSource("gate", (picture(number) for number in range(1)), fps=None)
    name = "x" * 300  # longer than a file system takes
    with running(source, configured(tmp_path, folder=tmp_path / name)) as camera:
        camera.play(0)
        for settled in (1, 2):
            camera.fire()
            camera.wait_for(settled)
    assert camera.figures["dropped"] == 2
    assert len(caplog.messages) == 1, caplog.messages


SERVICE = """
state = "{state}"
[models.m]
file = "{model}"
[cameras.gate]
source = "synth:conveyor?seed=1&fps=10&size=320x240"
zones = "{state}/zones.json"
[web]
port = 0
[health]
free_mb = 0
[clips]
before_s = 1
after_s = 60
"""
ZONES = {"zones": [{"name": "yard", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}], "units": "shares"}


@pytest.mark.slow
def test_a_killed_process_leaves_a_clip_that_plays(tmp_path: Path, block_model: Path) -> None:
    (tmp_path / "zones.json").write_text(json.dumps(ZONES))
    file = tmp_path / "edgeloop.toml"
    file.write_text(SERVICE.format(state=tmp_path, model=block_model))
    folder = tmp_path / "clips"
    with subprocess.Popen(
        [sys.executable, "-m", "edgeloop", "serve", file], stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            ends_at = time.monotonic() + 30
            while not any(path.stat().st_size > 30_000 for path in folder.glob("*.partial")):
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < ends_at
                time.sleep(0.05)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert list(folder.glob("*.mkv")) == []
    (folder / f"{only(folder.glob('*.partial')).name.replace('.mkv', '.jpg')[:-8]}.part").write_bytes(b"half")
    assert clear_leftovers(folder) == 1
    clip = only(folder.glob("*.mkv"))
    assert len(pictures(clip)) >= 3
    event = list_events(folder, 1)[0]
    assert event.clip == clip
    assert 0 < event.values["clip_to"] - event.values["clip_from"] < 30
    assert {path.suffix for path in folder.iterdir()} == {".mkv", ".jpg", ".json"}


@pytest.mark.slow
def test_a_failure_that_nobody_foresaw_leaves_no_half_of_a_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = EventClip.write

    def fail(clip: EventClip, now: float) -> bool:
        is_over = write(clip, now)
        if clip.events and clip.path is not None:
            raise RuntimeError("unforeseen")
        return is_over

    monkeypatch.setattr(EventClip, "write", fail)
    with filmed(lambda: mpeg_ts(count()), configured(tmp_path)) as camera:
        camera.play(50, events=[35])
        until(lambda: camera.figures.get("dropped") == 1)
        until(lambda: not list(camera.folder.glob("*.partial")))
