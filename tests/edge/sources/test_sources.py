"""Every kind of source, and every way in which one can be bad."""

from __future__ import annotations

import json
import logging
import os
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.host.opencv import open_writer
from edgeloop.edge.source_name import is_footage, shown_name
from edgeloop.edge.sources import as_source, open_source, synth
from edgeloop.edge.synth import open_scene
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError, UnavailableError, UsageError
from tests.blocks import draw_block
from tests.calls import edgeloop


def frames_of(text: str) -> tuple[Source, list[Frame]]:
    with open_source(text) as source:
        return source, list(source)


def test_a_video_yields_every_frame_in_order(clip: Path) -> None:
    source, frames = frames_of(str(clip))
    assert (source.live, source.fps, source.length, source.dropped) == (False, 20, 40, 0)
    assert [frame.index for frame in frames] == list(range(40))
    times = [frame.captured_at for frame in frames]
    assert times == sorted(times)
    assert np.abs(frames[7].image.astype(int) - draw_block(7)).mean() < 3


@pytest.mark.parametrize(("size", "threads"), [((1280, 720), [1]), ((1920, 1080), [1, 3])], ids=str)
def test_frames_are_decoded_by_as_many_threads_as_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], threads: list[int]
) -> None:
    writer = open_writer(tmp_path / "clip.mp4", fps=30, size=size)
    assert writer is not None
    for _ in range(3):
        writer.write(np.zeros((size[1], size[0], 3), np.uint8))
    writer.release()
    asked: list[int] = []

    def spy(path: str, backend: int, settings: list[int]) -> cv2.VideoCapture:
        asked.append(dict(zip(settings[::2], settings[1::2], strict=True))[cv2.CAP_PROP_N_THREADS])
        return capture(path, backend, settings)

    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", spy)
    monkeypatch.setattr("edgeloop.edge.host.hardware.usable_cores", lambda: 8)
    _, frames = frames_of(str(tmp_path / "clip.mp4"))
    assert [frame.image.shape for frame in frames] == [(size[1], size[0], 3)] * 3
    assert asked == threads


@pytest.mark.parametrize("name", ["2024-01-01T12:30:00.mp4", "a?b#c%20d [1].mp4", "é@x=1 ! y.mp4", "-.mp4"])
def test_a_video_of_any_name_is_read(clip: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(clip.read_bytes())
    source, frames = frames_of(str(tmp_path / name))
    assert (source.name, len(frames)) == (str(tmp_path / name), 40)


def test_a_video_whose_name_is_no_utf_8_is_read(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    path.write_bytes(clip.read_bytes())
    source, frames = frames_of(str(path))
    assert (Path(source.name).name, len(frames)) == ("caf%E9.mp4", 40)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "count"),
    [("-", 40), ("-?width=160&height=120", 40), ("-?width=160&height=120&pix_fmt=yuv420p&fps=20", 80)],
)
def test_a_pipe_is_read_to_its_end(
    clip: Path, block_model: Path, tmp_path: Path, source: str, count: int
) -> None:
    piped = tmp_path / "piped"
    if source == "-":
        piped = clip
    else:
        piped.write_bytes(b"".join(frame.image.tobytes() for frame in frames_of(str(clip))[1]))
    with piped.open("rb") as stdin:
        done = edgeloop("run", block_model, source, "--json", stdin=stdin)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["source"] for line in lines] == ["stdin"] * count
    if "yuv" not in source:
        assert lines[7]["detections"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "data", "code", "says"),
    [
        ("-", b"nothing at all" * 100, 65, "frames without a header need their size"),
        ("-?width=160&height=120", b"", 66, "stdin: ended without a frame"),
        ("-?width=160", b"", 2, "expected width and height"),
        ("-?width=161&height=121&pix_fmt=nv12", b"", 2, "nv12 has an even width and height"),
        ("-?width=160&height=120&pix_fmt=xyz", b"", 2, "pix_fmt=xyz: expected one of bgr24"),
    ],
)
def test_a_bad_pipe_is_one_clear_line(
    block_model: Path, tmp_path: Path, source: str, data: bytes, code: int, says: str
) -> None:
    (tmp_path / "piped").write_bytes(data)
    with (tmp_path / "piped").open("rb") as stdin:
        done = edgeloop("run", block_model, source, stdin=stdin)
    assert done.returncode == code, done.stderr
    assert says in done.stderr.splitlines()[-1]


def test_a_folder_is_read_in_natural_order(image_folder: Path) -> None:
    source, frames = frames_of(str(image_folder))
    assert source.length == 12
    assert [Path(frame.source).name for frame in frames] == [f"{number}.png" for number in range(1, 13)]
    assert np.array_equal(frames[11].image, draw_block(11))


def test_a_glob_is_read_in_natural_order(image_folder: Path) -> None:
    _, frames = frames_of(f"{image_folder}/1*.png")
    assert [Path(frame.source).name for frame in frames] == ["1.png", "10.png", "11.png", "12.png"]


def test_what_a_folder_holds_besides_images_is_counted_by_kind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeloop.edge.sources.images.reads_heic", lambda: False)
    for name in ("b.heic", "c.HEIC", "d.mp4", "e", "labels.txt", ".hidden", "._1.jpg", "frames.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    (tmp_path / "a.jfif").write_bytes(cv2.imencode(".jpg", draw_block(0))[1].tobytes())
    with open_source(str(tmp_path)) as source:
        assert [Path(frame.source).name for frame in source] == ["a.jfif"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: not read: 2 .heic (pip install 'edgeloop[heif]'), 1 .mp4, 1 file without a suffix, "
        "1 subfolder"
    ]


def test_what_a_glob_matches_besides_images_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "more/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), draw_block(0))
    (tmp_path / "more/c.mp4").touch()
    with open_source(f"{tmp_path}/**/*") as source:
        assert len(list(source)) == 2
    assert caplog.messages == [f"{tmp_path}/**/*: not read: 1 .mp4"]


def test_a_folder_without_images_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "day1").mkdir()
    (tmp_path / "day2").mkdir()
    with pytest.raises(NoInputError, match=r"holds no image .*, but 2 subfolders"):
        open_source(str(tmp_path))


def test_a_single_image_is_a_source_of_one_frame(image_folder: Path) -> None:
    _, frames = frames_of(str(image_folder / "3.png"))
    assert [frame.index for frame in frames] == [0]


def test_an_incomplete_source_is_told_what_it_lacks() -> None:
    class Half:
        name, live, fps, length, dropped, skipped = "half", False, None, None, 0, 0

        def __iter__(self) -> Iterator[Frame]:
            return iter(())

        def stop(self) -> None:
            pass

    with pytest.raises(UsageError, match="got none of the name stale, close, __enter__, __exit__;"):
        as_source(Half())


def test_stop_ends_the_iteration_after_the_frame_in_hand(clip: Path) -> None:
    with open_source(str(clip)) as source:
        frames = iter(source)
        next(frames)
        source.stop()
        assert list(frames) == []


@pytest.mark.parametrize(
    ("text", "footage"),
    [
        ("0", False),
        ("/dev/video0", False),
        ("rtsp://127.0.0.1/cam", False),
        ("http://127.0.0.1/recording.mp4", False),
        ("synth:conveyor?seed=1&fps=30", False),
        ("synth:conveyor?seed=1", True),
        ("video.mp4", True),
        ("folder/*.jpg", True),
    ],
)
def test_a_name_tells_whether_every_frame_counts(text: str, footage: bool) -> None:
    assert is_footage(text) is footage


def test_a_scene_without_fps_is_footage_indexed_like_the_scene() -> None:
    source, frames = frames_of("synth:conveyor?seed=3&start=5&frames=2&size=320x240")
    assert (source.live, source.length) == (False, 2)
    assert [frame.index for frame in frames] == [5, 6]
    assert np.array_equal(frames[1].image, open_scene("conveyor", seed=3, size=(320, 240)).render(6))


def test_a_scene_with_fps_is_a_live_camera() -> None:
    source, frames = frames_of("synth:conveyor?fps=10&frames=6&size=160x120")
    assert (source.live, source.fps, source.length) == (True, 10, None)
    assert len(frames) + source.dropped == 6


class Clock:
    """Time that passes only in sleep, and while a scene renders."""

    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize(
    ("render_s", "shown_s"),
    [
        pytest.param([0, 0, 0, 0], [0, 0.1, 0.2, 0.3], id="in no time"),
        pytest.param([9, 0.05, 0.09, 0.01], [9, 9.1, 9.2, 9.3], id="within a period, after the first"),
        pytest.param([0, 0.3, 0, 0], [0, 0.3, 0.3, 0.3], id="one delay is made up for"),
        pytest.param([0, 2, 0, 0, 0, 0, 0, 0], [0, 2, 2, 2, 2, 2, 2, 2.1], id="a long one in part"),
    ],
)
def test_a_live_scene_is_paced_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, render_s: list[float], shown_s: list[float]
) -> None:
    clock = Clock()
    scene = open_scene("conveyor", seed=1, size=(160, 120))
    monkeypatch.setattr("edgeloop.edge.sources.synth.time", clock)
    monkeypatch.setattr(type(scene), "render", lambda _, index: clock.sleep(render_s[index]))
    images = synth._paced(scene, iter(range(len(render_s))), 0.1)
    assert [round(clock.now_s - 100, 6) for _ in images] == shown_s


def cut_jpeg(path: Path) -> None:
    data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    path.write_bytes(data[: len(data) // 2])


def cut_png(path: Path) -> None:
    data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        pytest.param("5b.jpg", lambda path: path.write_bytes(b"no image at all"), id="text"),
        pytest.param("5b.jpg", lambda path: path.write_bytes(b""), id="empty"),
        pytest.param("5b.jpg", cut_jpeg, id="jpeg cut off"),
        pytest.param("5b.png", cut_png, id="png cut off"),
        pytest.param("5b.png", lambda path: path.mkdir(), id="folder named like an image"),
        pytest.param("5b.png", lambda path: path.symlink_to("nowhere.png"), id="dangling link"),
    ],
)
def test_an_unreadable_image_in_a_folder_is_set_aside(
    tmp_path: Path, name: str, spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 9):
        cv2.imwrite(str(tmp_path / f"{number}.png"), draw_block(number))
    spoil(tmp_path / name)
    with caplog.at_level(logging.WARNING, "edgeloop.edge"):
        source, frames = frames_of(str(tmp_path))
    assert [frame.index for frame in frames] == [0, 2]
    assert source.skipped == 1
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{tmp_path / name}: ")
    assert record.getMessage().endswith("; set aside")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("missing.mp4", NoInputError, "no such file or folder"),
        ("missing/*.jpg", NoInputError, "matches no image"),
        ("empty", NoInputError, "holds no image"),
        ("corrupt.mp4", DataError, "neither an image nor a video"),
        ("corrupt.jpg", DataError, "not an image that can be read"),
        ("only-bad", DataError, "not one image can be read"),
        ("empty.mp4", DataError, "neither an image nor a video"),
        ("97", UnavailableError, "camera 97: cannot be opened"),
        ("/dev/video97", UnavailableError, "camera 97: cannot be opened"),
        ("97?width=640&height=480&fps=30&fourcc=MJPG", UnavailableError, "camera 97: cannot be opened"),
        ("97?zoom=2", UsageError, "no option 'zoom'; there are: width, height, fps, fourcc"),
        ("97?fourcc=JPEGS", UsageError, "fourcc=JPEGS: expected four letters"),
        ("/dev/v4l/by-id/usb-none", UnavailableError, "camera /dev/v4l/by-id/usb-none: cannot be opened"),
        ("v4l2src ! appsink", UnavailableError, "this OpenCV has no GStreamer"),
        ("rtmp://127.0.0.1:9/live", UnavailableError, "nobody answers at 127.0.0.1:9"),
        ("srt://127.0.0.1:9", UnavailableError, "no video arrives, or this OpenCV's FFmpeg does not speak"),
        ("rtsp://127.0.0.1:9/stream", UnavailableError, "nobody answers at 127.0.0.1:9"),
        ("http://127.0.0.1:9/stream", UnavailableError, "nobody answers at 127.0.0.1:9"),
        ("ftp://127.0.0.1/clip.mp4", UsageError, "not an address"),
        ("rtsp:///stream", UsageError, "not an address"),
        ("http://127.0.0.1:port/", UsageError, "not an address"),
        ("rtsp://127.0.0.1:9/live?token=ab#cd", UsageError, "percent-encode / [?] # @"),
        ("rtsp://127.0.0.1:9/live#name=", UsageError, "percent-encode / [?] # @"),
        ("rtsp://127.0.0.1:9/live#name=door", UnavailableError, "nobody answers at 127.0.0.1:9"),
        ("synth:nowhere", UsageError, "there are: conveyor"),
        ("synth:conveyor?speed=2", UsageError, "no option 'speed'"),
        ("synth:conveyor?fps=0", UsageError, "fps=0: expected frames a second"),
        ("synth:conveyor?fps=nan", UsageError, "fps=nan: expected"),
        ("synth:conveyor?seed=one", UsageError, "seed=one: expected a whole number"),
        ("synth:conveyor?size=9000x9000", UsageError, "size=9000x9000: expected WIDTHxHEIGHT"),
        ("synth:conveyor?change=-1", UsageError, "change=-1: expected the frame index of a change"),
        ("synth:conveyor?frames=0", UsageError, "frames=0: expected a number of frames"),
        ("synth:conveyor?fps", UsageError, "expected name=value pairs"),
    ],
)
def test_a_bad_source_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: type[EdgeloopError], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "only-bad"):
        Path(name).mkdir()
    for name in ("corrupt.mp4", "corrupt.jpg", "only-bad/1.jpg", "only-bad/2.jpg"):
        Path(name).write_bytes(b"nothing that anybody could decode" * 100)
    Path("empty.mp4").touch()
    with pytest.raises(error, match=says) as raised:
        frames_of(text)
    assert "\n" not in str(raised.value)
    assert shown_name(text) in str(raised.value) or "camera 97" in str(raised.value)


@pytest.mark.parametrize(
    ("password", "error"),
    [
        pytest.param("hunter2", UnavailableError, id="plain"),
        pytest.param("hun/ter2", UsageError, id="slash"),
        pytest.param("hun?ter2", UsageError, id="question mark"),
        pytest.param("hun#ter2", UsageError, id="hash"),
        pytest.param("hun ter2", UsageError, id="space"),
        pytest.param("hun@ter2", UnavailableError, id="at sign"),
        pytest.param("hun%2Fter2", UnavailableError, id="percent-encoded"),
        pytest.param("12#ter2", UsageError, id="like a port with a fragment"),
        pytest.param("12/ter2", UsageError, id="like a port with a path"),
        pytest.param("[ter2]", UsageError, id="brackets"),
        pytest.param("hun\u2100ter2", UsageError, id="not NFKC"),
    ],
)
def test_a_password_never_shows(password: str, error: type[EdgeloopError]) -> None:
    with pytest.raises(error) as raised:
        open_source(f"rtsp://admin:{password}@127.0.0.1:9/stream")
    shown = "".join(traceback.format_exception_only(raised.value)) + str(raised.value.__cause__)
    assert "rtsp://***" in shown
    assert not re.search(r"admin|hun|ter2|12[^7]", shown)
    assert (error is UsageError) == ("percent-encode / ? # @" in shown)


def test_a_video_that_breaks_off_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = tmp_path / "whole.avi"
    writer = cv2.VideoWriter(str(whole), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 20, (160, 120))
    for index in range(40):
        writer.write(draw_block(index))
    writer.release()
    os.truncate(whole, whole.stat().st_size // 2)
    with caplog.at_level(logging.WARNING, "edgeloop.edge"):
        _, frames = frames_of(str(whole))
    assert 5 < len(frames) < 30
    assert f"breaks off after {len(frames)} of" in caplog.text


@pytest.mark.slow
def test_opencv_and_ffmpeg_keep_quiet_on_the_command_line(tmp_path: Path, block_model: Path) -> None:
    (tmp_path / "corrupt.mp4").write_bytes(b"nothing" * 100)
    for text in (str(tmp_path / "corrupt.mp4"), "97", "http://127.0.0.1:9/x"):
        done = edgeloop("run", block_model, text)
        assert done.returncode != 0
        assert [line[:9] for line in done.stderr.splitlines()] == ["edgeloop:"]
