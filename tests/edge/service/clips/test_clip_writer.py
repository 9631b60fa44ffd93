"""Clips from packets: playable at any moment, and in time whatever the clocks do."""

from __future__ import annotations

import io
import re
import shutil
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.host.disk_space import BudgetedFolder
from edgeloop.edge.service.clips.clip_writer import PARTIAL, ClipWriter, Timeline, clip_seconds, clip_suffix
from edgeloop.edge.sources.packets.packet_ring import Packet, PacketFormat
from tests.edge.sources.packets.numbered_stream import FPS, mpeg_ts, number_of, picture


def jpegs(count: int) -> list[Packet]:
    encoded = [cv2.imencode(".jpg", picture(number))[1].tobytes() for number in range(count)]
    return [
        Packet(data, True, number / FPS, PacketFormat("mjpeg", b"320x240"))
        for number, data in enumerate(encoded)
    ]


def packets_of(codec: str, count: int, options: dict[str, str] | None = None) -> list[Packet]:
    if codec == "mjpeg":
        return jpegs(count)
    encoder = {"h264": "libx264", "hevc": "libx265"}[codec]
    stream = io.BytesIO(b"".join(mpeg_ts(range(count), codec=encoder, options=options)))
    made = []
    with av.open(stream, "r") as container:
        for packet in container.demux(video=0):
            if packet.dts is not None and packet.pts is not None:
                stamps = [float(each * packet.time_base) for each in (packet.dts, packet.pts)]
                form = PacketFormat(codec, b"sps")
                made.append(Packet(bytes(packet), packet.is_keyframe, stamps[0], form, *stamps))
    return made


def budget(folder: Path) -> BudgetedFolder:
    return BudgetedFolder(folder, re.compile(".*"), budget=10**9, keep_free_mb=0)


def written(folder: Path, packets: list[Packet]) -> Path:
    writer = ClipWriter(folder / f"clip{clip_suffix(packets[0].format)}", packets[0], budget(folder))
    for packet in packets[1:]:
        writer.add(packet)
    writer.finish()
    return writer.path


def seen(clip: Path) -> list[tuple[int, float]]:
    """Number and time in seconds of each picture."""
    with av.open(str(clip)) as container:
        return [
            (number_of(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)), frame.time or 0.0)
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg"])
def test_what_is_on_disk_at_any_moment_plays_up_to_the_last_second(tmp_path: Path, codec: str) -> None:
    packets = packets_of(codec, 3 * FPS)
    path = tmp_path / f"clip{clip_suffix(packets[0].format)}"
    writer = ClipWriter(path, packets[0], budget(tmp_path))
    for packet in packets[1:]:
        writer.add(packet)
    cut_off = tmp_path / "cut-off"
    shutil.copy(tmp_path / f"{path.name}{PARTIAL}", cut_off)
    assert not path.exists()
    writer.finish()
    numbers = [number for number, _ in seen(cut_off)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 1.5 * FPS
    assert clip_seconds(cut_off) == pytest.approx((len(numbers) - 1) / FPS, abs=0.05)
    assert [number for number, _ in seen(path)] == list(range(len(packets)))
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["cut-off", path.name])


def test_pictures_that_refer_to_later_ones_keep_their_order(tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "bf": "2", "b-adapt": "0"}
    pictures = seen(written(tmp_path, packets_of("h264", 40, options)))
    assert [number for number, _ in pictures] == list(range(len(pictures)))
    assert len(pictures) > 35
    assert np.diff([at for _, at in pictures]) == pytest.approx(1 / FPS, abs=0.001)


def test_a_clip_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    first, *others = packets_of("h264", 20)
    folder = budget(tmp_path)
    writer = ClipWriter(tmp_path / "clip.mp4", first, folder)
    for packet in others:
        writer.add(packet)
    writer.abandon()
    assert (list(tmp_path.iterdir()), folder.used) == ([], 0)


@pytest.mark.parametrize("data", [b"", bytes(100), bytes(range(256))], ids=["empty", "zeros", "noise"])
def test_a_key_frame_of_garbage_makes_no_clip(tmp_path: Path, data: bytes) -> None:
    folder = budget(tmp_path)
    for codec in ("h264", "hevc", "mjpeg"):
        form = PacketFormat(codec)
        with pytest.raises((av.FFmpegError, OSError, ValueError)):
            ClipWriter(tmp_path / f"clip{clip_suffix(form)}", Packet(data, True, 0.0, form), folder)
    assert (list(tmp_path.iterdir()), folder.used) == ([], 0)


def test_a_file_that_is_no_clip_plays_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 9)
    assert [clip_seconds(tmp_path / name) for name in ("empty", "noise", "missing")] == [None] * 3


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.one_of(st.none(), st.floats(-1e6, 1e6)), st.floats(-9, 9)),
        min_size=2,
        max_size=12,
    )
)
def test_times_grow_whatever_the_clock_of_the_stream_says(
    steps: list[tuple[float, float | None, float]],
) -> None:
    timeline, arrived_at, decoded, shown = Timeline(), 0.0, [], []
    for step, stamp, ahead in steps:
        arrived_at += step
        pts = None if stamp is None else stamp + ahead
        dts_ticks, pts_ticks = timeline.place(Packet(b"", True, arrived_at, PacketFormat("h264"), stamp, pts))
        decoded.append(dts_ticks / 90_000)
        shown.append(pts_ticks / 90_000)
    assert all(earlier < later for earlier, later in pairwise(decoded))
    assert all(0 <= pts - dts <= 2.001 for dts, pts in zip(decoded, shown, strict=True))
    lasted = sum(step for step, _, _ in steps[1:])
    assert abs(decoded[-1] - lasted) <= 2.001 * len(steps)
