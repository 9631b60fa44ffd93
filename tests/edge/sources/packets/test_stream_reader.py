"""Network streams read with PyAV: real servers, pictures that bear their number, damage on the way."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from itertools import count, islice

import av
import numpy as np
import psutil
import pytest
from av.video.codeccontext import VideoCodecContext

from edgeloop.edge.frame import Frame
from edgeloop.edge.sources import LivePolicy, open_source
from edgeloop.edge.sources.live import LiveSource
from edgeloop.edge.sources.packets import stream_reader
from edgeloop.edge.sources.packets.packet_ring import Packet
from edgeloop.edge.sources.packets.stream_reader import connect_stream
from edgeloop.models.errors import UnavailableError
from tests.edge.sources.packets.numbered_stream import FPS, MULTIPART, mpeg_ts, multipart, number_of, served
from tests.waiting import until as waited

PACKETS = LivePolicy(connect_stream=connect_stream, packets_s=60.0)


def opened(address: str, policy: LivePolicy = PACKETS) -> LiveSource:
    source = open_source(address, policy)
    assert isinstance(source, LiveSource)
    return source


def until(source: LiveSource, number: int) -> list[Frame]:
    """Take frames up to the one that bears a number."""
    frames = []
    for frame in source:
        frames.append(frame)
        if number_of(frame.image) >= number:
            break
    return frames


def kept(source: LiveSource) -> list[Packet]:
    assert source.packets is not None
    return source.packets.since(0)[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "codec", "container"),
    [("libx264", "h264", "mpegts"), ("libx265", "hevc", "mpegts"), ("libx264", "h264", "flv")],
)
def test_pictures_and_packets_come_from_one_connection(encoder: str, codec: str, container: str) -> None:
    def pieces() -> Iterator[bytes]:
        return mpeg_ts(count(), codec=encoder, container=container)

    with served(pieces) as address, opened(address) as source:
        assert source.live
        frames = until(source, 40)
        packets = kept(source)
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers == sorted(set(numbers))
    in_hand = source.link.arrived - (len(frames) + source.dropped + source.skipped)
    assert in_hand in (0, 1)
    assert source.skipped == 0
    assert {packet.format.codec for packet in packets} == {codec}
    assert len(packets) == pytest.approx(41, abs=2)
    assert [packet.is_key for packet in packets[:11]] == [True, *[False] * 9, True]
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    images = [image for packet in packets for image in decoder.decode(av.Packet(packet.data))]
    first = np.asarray(images[0].to_ndarray(format="bgr24"), np.uint8)
    assert number_of(first) == 0, "no picture is lost by looking at the stream"


@pytest.mark.slow
def test_pictures_are_those_of_opencv() -> None:
    def pictures(policy: LivePolicy) -> dict[int, Frame]:
        with opened(address, policy) as source:
            return {number_of(frame.image): frame for frame in until(source, 30)}

    with served(lambda: mpeg_ts(count())) as address:
        ours, theirs = pictures(PACKETS), pictures(LivePolicy())
    both = ours.keys() & theirs.keys()
    assert both
    assert all(np.array_equal(ours[number].image, theirs[number].image) for number in both)


@pytest.mark.slow
def test_a_stream_that_is_joined_in_the_middle_begins_with_its_next_key_frame() -> None:
    with (
        served(lambda: islice(mpeg_ts(count(), group=30), 15, None)) as address,
        opened(address) as source,
    ):
        frames = until(source, 40)
        packets = kept(source)
    assert number_of(frames[0].image) >= 30
    assert packets[0].is_key
    assert source.skipped == 0, "nothing was wrong with what came before"


@pytest.mark.slow
def test_a_picture_is_there_as_soon_as_it_arrives() -> None:
    sent: dict[int, float] = {}

    def stamped() -> Iterator[bytes]:
        for number, piece in enumerate(mpeg_ts(count())):
            sent[number] = time.monotonic()
            yield piece

    with served(stamped) as address, opened(address) as source:
        frames = until(source, 60)[-20:]
    delays = sorted(frame.captured_at - sent[number_of(frame.image)] for frame in frames)
    # A transport stream ends a picture with the beginning of the next one.
    assert delays[len(delays) // 2] < 2.5 / FPS


@pytest.mark.slow
def test_mjpeg_is_kept_as_it_is() -> None:
    with served(lambda: multipart(count()), MULTIPART) as address, opened(address) as source:
        until(source, 10)
        packets = kept(source)
    assert all(packet.is_key and packet.data.startswith(b"\xff\xd8") for packet in packets)
    assert {packet.dts_s for packet in packets} == {None}, "its stamps are invented from a rate"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["h264", "mjpeg"])
def test_a_stream_that_changes_its_size_gives_true_pictures_and_another_format(kind: str) -> None:
    small, large = (320, 240), (480, 320)

    def pieces() -> Iterator[bytes]:
        encode = mpeg_ts if kind == "h264" else multipart
        yield from encode(range(30), size=small)
        yield from encode(count(30), size=large)

    content_type = "video/mp2t" if kind == "h264" else MULTIPART
    with served(pieces, content_type) as address, opened(address) as source:
        frames = until(source, 50)
        packets = kept(source)
    sizes = [(frame.image.shape[1], frame.image.shape[0]) for frame in frames]
    assert list(dict.fromkeys(sizes)) == [small, large]
    assert [number_of(each.image) for each in frames] == sorted(number_of(each.image) for each in frames)
    assert len({packet.format for packet in packets}) == 2


def damaged(pieces: Iterator[bytes], kind: str) -> Iterator[bytes]:
    """Replace the pictures 23 to 25 by noise, of parts of a multipart answer the second half."""
    noise = random.Random(1)
    for number, piece in enumerate(pieces):
        kept = 0 if kind == "h264" else len(piece) // 2
        yield (
            piece[:kept] + noise.randbytes(len(piece) - kept - 2) + piece[-2:] if 23 <= number < 26 else piece
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["h264", "mjpeg"])
def test_damage_is_counted_and_pictures_go_on_with_the_next_key_frame(kind: str) -> None:
    def pieces() -> Iterator[bytes]:
        return damaged(mpeg_ts(count()) if kind == "h264" else multipart(count()), kind)

    content_type = "video/mp2t" if kind == "h264" else MULTIPART
    with served(pieces, content_type) as address, opened(address) as source:
        numbers = [number_of(frame.image) for frame in until(source, 45)]
    assert source.skipped > 0
    assert numbers == sorted(set(numbers))
    assert set(range(23, 26)).isdisjoint(numbers)
    if kind == "h264":
        assert set(range(23, 30)).isdisjoint(numbers), "before the next key frame"
    assert set(range(31, 45)) & set(numbers)


@pytest.mark.slow
def test_a_camera_that_breaks_the_standard_in_each_picture_is_tolerated_after_five() -> None:
    def pieces() -> Iterator[bytes]:
        for piece in multipart(count()):
            yield piece[:-40] + bytes(36) + piece[-4:]

    with served(pieces, MULTIPART) as address, opened(address) as source:
        numbers = [number_of(frame.image) for frame in until(source, 12)]
    assert numbers[0] == source.skipped == 5


@pytest.mark.slow
def test_nothing_but_garbage_gives_no_picture() -> None:
    def pieces() -> Iterator[bytes]:
        yield from mpeg_ts(range(25))
        noise = random.Random(2)
        while True:
            yield noise.randbytes(2000)

    with served(pieces) as address, opened(address) as source:
        source_frames = iter(source)
        frames = list(islice(source_frames, 15))
        newest_at = source.link.newest_at
        time.sleep(1.0)
        assert source.link.newest_at is not None
        assert newest_at is not None
        assert source.link.newest_at - newest_at < 0.9
    assert max(number_of(frame.image) for frame in frames) < 25


@pytest.mark.slow
def test_a_stream_without_b_frames_or_with_them_is_in_order() -> None:
    options = {"preset": "ultrafast", "bf": "2", "b-adapt": "0"}
    with served(lambda: mpeg_ts(count(), options=options)) as address, opened(address) as source:
        numbers = [number_of(frame.image) for frame in until(source, 30)]
        packets = kept(source)
    assert numbers == sorted(set(numbers))
    assert any(packet.pts_s != packet.dts_s for packet in packets)


def test_a_picture_that_would_use_up_the_memory_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_reader, "_MAX_PIXELS", 20_000)
    with served(lambda: multipart(count()), MULTIPART) as address, opened(address) as source:
        source.start(threading.Event())
        waited(lambda: source.skipped > 5)
        assert source.link.newest_at is None


def test_errors_show_no_secret(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for address in (
        f"rtsp://admin:hunter2@127.0.0.1:{port}/stream?token=hunter2",
        f"http://admin:hunter2@127.0.0.1:{port}/stream",
    ):
        with pytest.raises(UnavailableError, match="nobody answers") as caught:
            open_source(address, PACKETS)
        assert caught.value.__suppress_context__
        assert "hunter2" not in str(caught.value)
    with served(lambda: iter([b"no video at all" * 100])) as address:
        secret = address.replace("//", "//admin:hunter2@")
        with pytest.raises(UnavailableError, match="no video arrives") as caught:
            open_source(secret, PACKETS)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_a_silent_stream_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeloop.edge.sources.capture.TIMEOUT_S", 1.0)

    def pieces() -> Iterator[bytes]:
        yield from mpeg_ts(range(25))
        time.sleep(5)

    with (
        served(pieces) as address,
        opened(address) as source,
        pytest.raises(UnavailableError, match="no frame for 1 s; the connection is lost"),
    ):
        list(source)


def test_a_lost_connection_leaves_no_threads_also_if_its_error_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeloop.edge.sources.capture.TIMEOUT_S", 0.3)

    def pieces() -> Iterator[bytes]:
        yield from mpeg_ts(range(25))
        time.sleep(0.6)

    def lose() -> UnavailableError:
        with served(pieces) as address, opened(address) as source, pytest.raises(UnavailableError) as lost:
            list(source)
        return lost.value

    kept_errors = [lose()]  # the first also starts what stays
    before, ends_at = psutil.Process().num_threads(), time.monotonic() + 5
    kept_errors += [lose() for _ in range(3)]
    while psutil.Process().num_threads() > before and time.monotonic() < ends_at:
        time.sleep(0.05)
    assert psutil.Process().num_threads() <= before
