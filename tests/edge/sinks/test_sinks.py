"""Sinks: nothing lost, nothing overwritten, always playable."""

from __future__ import annotations

import io
import json
import resource
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeloop.edge.frame import Frame
from edgeloop.edge.host.opencv import has_screen
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.sinks import JsonLines, StatusLine, VideoFile, Window
from edgeloop.edge.sinks.jsonl import mask_segments
from edgeloop.edge.sources import open_source
from edgeloop.edge.synth import open_scene
from edgeloop.edge.tracking import Event
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError, UnavailableError, UsageError
from tests.blocks import draw_block
from tests.masked import masked, masked_truth

NAMES = ("bolt", "nut")


def result(index: int = 0, *, captured_at: float = 0.0, tracker_id: int | None = None) -> Result:
    found = Detections(
        np.array([[1.234567, 2, 30, 40]], np.float32),
        np.array([0.87654], np.float32),
        np.array([1], np.int64),
        None if tracker_id is None else np.array([tracker_id], np.int64),
    )
    frame = Frame(draw_block(index % 40), index, captured_at, 1700000000.0, "test")
    return Result(frame, found, Timings(12.3456, {"infer": 12.3456}))


def read_video(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (picture := capture.read())[0]:
        frames.append(picture[1])
    return frames


def write_video(path: Path, indices: Sequence[int], **options: Any) -> None:
    with closing(VideoFile(path, NAMES, fps=20, live=False, **options)) as video:
        for index in indices:
            video.write(result(index))


def test_json_is_one_line_a_frame() -> None:
    stream = io.StringIO()
    with closing(JsonLines(stream, NAMES)) as sink:
        sink.write(result(3, captured_at=5.5))
        sink.write(result(4, tracker_id=9))
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "index": 3,
        "source": "test",
        "time_s": None,
        "captured_at": 5.5,
        "wall_time": 1700000000.0,
        "latency_ms": 12.346,
        "detections": [
            {"class": "nut", "class_id": 1, "confidence": 0.8765, "xyxy": [1.23, 2.0, 30.0, 40.0]}
        ],
    }
    assert second["detections"][0]["tracker_id"] == 9


def test_json_says_null_of_an_object_without_an_id_and_lists_events_where_zones_count() -> None:
    stream = io.StringIO()
    events = (
        Event("enter", "yard", 4, 1),
        Event("leave", "yard", 4, 1, dwell_s=2.5),
        Event("cross", "gate", 4, 0, direction="in"),
    )
    with closing(JsonLines(stream, NAMES)) as sink:
        sink.write(result(tracker_id=-1))
        sink.write(replace(result(), events=()))
        sink.write(replace(result(), events=events))
    first, second, third = map(json.loads, stream.getvalue().splitlines())
    assert first["detections"][0]["tracker_id"] is None
    assert "events" not in first
    assert second["events"] == []
    assert third["events"] == [
        {"event": "enter", "zone": "yard", "tracker_id": 4, "class": "nut"},
        {"event": "leave", "zone": "yard", "tracker_id": 4, "class": "nut", "dwell_s": 2.5},
        {"event": "cross", "line": "gate", "tracker_id": 4, "class": "bolt", "direction": "in"},
    ]


@pytest.mark.parametrize(
    ("name", "encoding"), [("cam\udcff", "utf-8"), ("caméra", "ascii"), ("caméra", "utf-8")]
)
def test_json_names_any_source_on_any_terminal(name: str, encoding: str) -> None:
    written = io.BytesIO()
    named = result()
    with closing(JsonLines(io.TextIOWrapper(written, encoding), NAMES)) as sink:
        sink.write(replace(named, frame=replace(named.frame, source=name)))
    (line,) = written.getvalue().decode(encoding).splitlines()
    assert json.loads(line)["source"] == name


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".MP4"])
def test_a_video_reopens_with_every_frame_and_the_boxes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write_video(path, range(25))
    frames = read_video(path)
    assert len(frames) == 25
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(20)
    assert frames[0].shape == (120, 160, 3)
    assert np.abs(frames[0].astype(int) - draw_block(0)).max() > 50, "nothing was drawn"
    assert list(tmp_path.iterdir()) == [path]


def test_a_video_shows_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with closing(VideoFile(path, NAMES, fps=20, live=False)) as video:
        video.write(result(0))
        assert not path.exists()
    assert path.exists()


@pytest.mark.parametrize("frames", [1, 2, 301])
@pytest.mark.parametrize("fps", [0.5, 23.976, 29.97, 120])
def test_a_video_of_any_rate_is_whole(tmp_path: Path, fps: float, frames: int) -> None:
    path = tmp_path / "out.mp4"
    with closing(VideoFile(path, NAMES, fps=fps, live=False)) as video:
        for index in range(frames):
            video.write(result(index))
    assert len(read_video(path)) == frames
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=1e-4)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_video_that_did_not_fit_on_the_disk_says_so_and_keeps_its_beginning(
    tmp_path: Path, suffix: str
) -> None:
    path, partial = tmp_path / f"out{suffix}", tmp_path / f"out.partial{suffix}"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    full = replace(result(), frame=Frame(noise, 0, 0.0, 0.0, "test"), detections=Detections.empty())
    video = VideoFile(path, NAMES, fps=20, live=False)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        for _ in range(200):
            video.write(full)
        with pytest.raises(UnavailableError, match=f"disk full.*{partial.name} holds what was written"):
            video.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not path.exists()
    assert 10 < len(read_video(partial)) < 200


@pytest.mark.parametrize(
    "name", ["2024-01-01T12:30:00", "a%03d", "a b?#*[1]", "file:a", "zoë", "\udcff", "-o", "x" * 230]
)
@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_video_may_have_any_name(tmp_path: Path, name: str, suffix: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    write_video(folder / f"{name}{suffix}", range(3))
    assert [path.name for path in folder.iterdir()] == [f"{name}{suffix}"]
    (folder / f"{name}{suffix}").rename(tmp_path / f"plain{suffix}")
    assert len(read_video(tmp_path / f"plain{suffix}")) == 3


def test_a_video_without_frames_is_no_file(tmp_path: Path) -> None:
    write_video(tmp_path / "out.mp4", [])
    assert list(tmp_path.iterdir()) == []


def test_an_existing_video_is_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(DataError, match="exists; name another one or give --overwrite"):
        write_video(path, [0])
    assert path.read_bytes() == b"precious"
    write_video(path, [0, 1], overwrite=True)
    assert len(read_video(path)) == 2


def test_a_frame_of_another_size_is_fitted_in(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with closing(VideoFile(path, NAMES, fps=20, live=False)) as video:
        video.write(result(0))
        large = Frame(np.full((300, 300, 3), 200, np.uint8), 1, 0.0, 0.0, "test")
        video.write(Result(large, Detections.empty(), Timings(1.0, {})))
    frames = read_video(path)
    assert [frame.shape for frame in frames] == [(120, 160, 3)] * 2
    assert frames[1][60, 5].max() < 20
    assert frames[1][60, 80].min() > 180


@pytest.mark.parametrize(
    ("captured_at", "frames"),
    [
        pytest.param([0, 0.05, 0.1, 0.15], 4, id="on time"),
        pytest.param([0, 0.2, 0.25, 0.5], 11, id="drops leave their time"),
        pytest.param([0, 0.055, 0.095, 0.155], 4, id="jitter"),
        pytest.param([0, 3600, 3600.05], 42, id="an hour of silence is two seconds"),
    ],
)
def test_a_video_of_a_live_source_keeps_the_clock(
    tmp_path: Path, captured_at: list[float], frames: int
) -> None:
    path = tmp_path / "out.mp4"
    with closing(VideoFile(path, NAMES, fps=20, live=True)) as video:
        for index, moment in enumerate(captured_at):
            video.write(result(index, captured_at=moment))
    assert len(read_video(path)) == frames


@pytest.mark.parametrize(
    ("fps", "times", "seconds"),
    [
        pytest.param(20, [0, 0.05, 0.1, 0.15], 0.2, id="as stated"),
        pytest.param(20, [0, 0.033, 0.067, 0.1, 0.3, 0.5, 0.7], 0.72, id="a rate that falls"),
        pytest.param(20, [0, 0.2, 0.4, 0.433, 0.467, 0.5], 0.52, id="a rate that rises"),
        pytest.param(20, [0, *(0.05 + n * 0.025 for n in range(60))], 1.55, id="half the stated interval"),
        pytest.param(
            20, [*(n * 0.05 for n in range(30)), *(1.5 + n * 0.02 for n in range(60))], 2.7, id="late"
        ),
        pytest.param(20, [0, 0.05, 10, 10.05], 10.1, id="a gap"),
        pytest.param(20, [0, 0.05, 36000, 36000.05], 60.15, id="a gap of hours"),
        pytest.param(20, [0, 0, 0, 0], 4 / 60, id="no frame is lost"),
    ],
)
def test_a_video_of_footage_has_its_time_and_all_its_frames(
    tmp_path: Path, fps: float, times: list[float], seconds: float
) -> None:
    path = tmp_path / "out.mp4"
    with closing(VideoFile(path, NAMES, fps=fps, live=False)) as video:
        for index, time_s in enumerate(times):
            shown = result(index)
            video.write(replace(shown, frame=replace(shown.frame, time_s=time_s)))
    frames = len(read_video(path))
    assert [*tmp_path.iterdir()] == [path]
    assert frames >= len(times)
    assert frames / cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("out.gif", UsageError, "unknown suffix; expected .mp4 or .avi"),
        ("nowhere/out.mp4", NoInputError, "no such folder"),
    ],
)
def test_a_bad_video_path_is_refused_at_once(
    tmp_path: Path, name: str, error: type[EdgeloopError], says: str
) -> None:
    with pytest.raises(error, match=says):
        VideoFile(tmp_path / name, NAMES, fps=20, live=False)


def test_a_window_needs_a_screen() -> None:
    if has_screen():
        pytest.skip("there is a screen here")
    with pytest.raises(UnavailableError, match="--show: no window can be opened here"):
        Window("edgeloop", NAMES, on_quit=lambda: None)


def test_a_window_closes_alone_and_may_be_closed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    open_windows = {"edgeloop: other"}

    def destroy(title: str) -> None:
        if title not in open_windows:
            raise cv2.error("NULL window")
        open_windows.remove(title)

    monkeypatch.setattr("edgeloop.edge.sinks.window.has_screen", lambda: True)
    monkeypatch.setattr(cv2, "namedWindow", lambda title, _flags: open_windows.add(title))
    monkeypatch.setattr(cv2, "destroyWindow", destroy)
    window = Window("edgeloop: one", NAMES, on_quit=lambda: None)
    assert "edgeloop: one" in open_windows
    window.close()
    window.close()
    assert open_windows == {"edgeloop: other"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "lines"), [(io.StringIO(), 2), (Terminal(), 1)])
def test_the_status_line_speaks_about_once_a_second(
    stream: io.StringIO, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    meter = Meter(NAMES)
    with (
        open_source("synth:conveyor?frames=50") as source,
        closing(StatusLine(stream, [Stream(source, meter)])) as status,
    ):
        for _ in range(20):
            now += 0.125
            meter.add(result(captured_at=now))
            status.write(result())
    text = stream.getvalue()
    assert text.count("\n") == lines
    assert "8/50 frames  8.0 fps  latency p50 12.3 p95 12.3 ms  0 dropped" in text


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_the_status_of_several_sources_names_each(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setenv("COLUMNS", "60")
    with open_source("synth:conveyor?frames=9") as one, open_source("synth:conveyor?seed=2") as two:
        cameras = [Stream(one, Meter(NAMES)), Stream(two, Meter(NAMES))]
        with closing(StatusLine(stream, cameras)) as status:
            for number in range(10):
                now += 0.125
                cameras[number % 5 == 0].meter.add(result(captured_at=now))
                status.write(result())
    text = stream.getvalue()
    if stream.isatty():
        lines = text.rstrip("\n").split("\r\x1b[K")[1:]
        assert [len(line) <= 59 for line in lines] == [True]
        assert lines[0].startswith("8.0 fps | ..veyor?frames=9 6.0 fps p95 12 ms 0 dropped")
    else:
        assert text.splitlines() == [
            "synth:conveyor?frames=9: 6/9 frames  6.0 fps  latency p50 12.3 p95 12.3 ms  0 dropped",
            "synth:conveyor?seed=2: 2 frames  2.0 fps  latency p50 12.3 p95 12.3 ms  0 dropped",
        ]


def test_json_has_the_segments_of_masks() -> None:
    scene = open_scene("conveyor", seed=3, size=(480, 270))
    found = masked_truth(scene.truth(120))
    assert found.masks is not None
    stream = io.StringIO()
    with closing(JsonLines(stream, scene.classes)) as sink:
        sink.write(replace(result(), detections=found))
    detections = json.loads(stream.getvalue())["detections"]
    assert [list(each)[-1] for each in detections] == ["segments"] * len(found)
    for detection, whole in zip(detections, found.masks.to_array(), strict=True):
        (largest, *_) = polygons = [np.array(each).reshape(-1, 2) for each in detection["segments"]]
        filled, drawn = whole.astype(np.uint8), np.zeros(whole.shape, np.uint8)
        cv2.fillPoly(filled, cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], 1)
        cv2.fillPoly(drawn, [each.round().astype(np.int32) for each in polygons], 1)
        assert (drawn & filled).sum() / (drawn | filled).sum() > 0.95
        x1, y1, x2, y2 = detection["xyxy"]
        assert (largest >= [x1, y1]).all()
        assert (largest < [x2, y2]).all()
        assert largest.round(1).tolist() == largest.tolist()


def test_segments_are_simple_and_the_largest_is_first() -> None:
    pixels, nothing = np.zeros((60, 80), np.bool_), np.zeros((60, 80), np.bool_)
    pixels[50:55, 2:9] = pixels[10:31, 20:51] = True
    boxes = np.array([[2, 10, 51, 55], [0, 0, 5, 5]], np.float32)
    found = masked(pixels, nothing, boxes=boxes)
    assert found.masks is not None
    large, small = mask_segments(found.masks)[0]
    assert sorted(zip(large[::2], large[1::2], strict=True)) == [(20, 10), (20, 30), (50, 10), (50, 30)]
    assert sorted(zip(small[::2], small[1::2], strict=True)) == [(2, 50), (2, 54), (8, 50), (8, 54)]
    assert mask_segments(found.masks)[1] == []


def test_detections_without_masks_have_no_segments() -> None:
    stream = io.StringIO()
    with closing(JsonLines(stream, NAMES)) as sink:
        sink.write(result())
    assert "segments" not in stream.getvalue()
