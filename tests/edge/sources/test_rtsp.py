"""A real RTSP camera: GStreamer's server in a process of its own.

Needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-good, which .ci/run installs.
"""

from __future__ import annotations

import json
import math
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from edgeloop.edge.sources import LivePolicy, capture, open_source, reconnect
from edgeloop.edge.sources.live import LiveSource
from edgeloop.edge.sources.packets.stream_reader import connect_stream
from edgeloop.models.errors import UnavailableError
from tests.calls import edgeloop

DEBIAN_PYTHON = Path("/usr/bin/python3")
SERVER = Path(__file__).with_name("rtsp_server.py")


def missing() -> bool:
    code = "import gi; gi.require_version('GstRtspServer', '1.0')"
    return (
        not DEBIAN_PYTHON.exists() or subprocess.run([DEBIAN_PYTHON, "-c", code], check=False).returncode != 0
    )


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        missing(),
        reason="no RTSP server: apt install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good",
    ),
]


@contextmanager
def camera(port: int, codec: str = "mjpeg") -> Iterator[str]:
    command = [str(DEBIAN_PYTHON), str(SERVER), str(port), codec]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            if server.stdout.readline() != "ready\n" and codec == "h264":
                pytest.skip("no encoder of H.264: apt install gstreamer1.0-plugins-bad")
            yield f"rtsp://127.0.0.1:{port}/cam"
        finally:
            server.kill()


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


def test_a_camera_is_live_and_its_picture_moves(port: int) -> None:
    with camera(port) as address, open_source(address) as source:
        assert (source.live, source.fps) == (True, 30)
        frames = list(islice(source, 10))
    assert frames[0].image.shape == (120, 160, 3)
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    assert not np.array_equal(frames[0].image, frames[-1].image)


def test_the_whole_loop_on_a_camera(port: int, block_model: Path) -> None:
    with camera(port) as address:
        done = edgeloop("run", block_model, address, "--json", "--max-frames", 10)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["source"] for line in done.stdout.splitlines()] == [address] * 10


def test_a_camera_that_restarts_is_opened_again(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "PAUSES", ((math.inf, 0.2),))
    with camera(port) as address:
        source = open_source(address, LivePolicy(reconnect_s=30))
        frames = iter(source)
        before = [next(frames).index for _ in range(5)]
    with camera(port), source:
        # What was still on its way when the camera died comes first.
        after = [next(frames).index for _ in range(40)]
    assert after == sorted(set(after))
    assert after[0] > before[-1]


def test_a_camera_that_dies_is_a_lost_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "TIMEOUT_S", 2.0)
    with camera(port) as address:
        source = open_source(address)
        frames = iter(source)
        next(frames)
    with source, pytest.raises(UnavailableError, match=f"stream rtsp://127.0.0.1:{port}/cam: "):
        list(frames)


@pytest.mark.parametrize("codec", ["mjpeg", "h264"])
def test_a_camera_gives_its_packets(port: int, codec: str) -> None:
    policy = LivePolicy(connect_stream=connect_stream, packets_s=10)
    with camera(port, codec) as address, open_source(address, policy) as source:
        assert isinstance(source, LiveSource)
        frames = list(islice(source, 10))
        assert source.packets is not None
        packets = source.packets.since(0)[1]
    assert frames[0].image.shape == (120, 160, 3)
    assert source.skipped == 0
    assert len(packets) >= 10
    assert {packet.format.codec for packet in packets} == {codec}
    parameter_set = packets[0].data.startswith(b"\x00\x00\x00\x01\x67")
    assert parameter_set == (codec == "h264"), "from the description"
    assert packets[-1].dts_s is not None
    assert packets[0].dts_s is not None
    assert packets[-1].dts_s - packets[0].dts_s == pytest.approx((len(packets) - 1) / 30, abs=0.01)
