"""Ring of the compressed packets of a camera."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.sources.packets.packet_ring import Packet, PacketFormat, PacketRing

H264 = PacketFormat("h264", b"sps")


def packet(at_s: float, *, key: bool = False, size: int = 10) -> Packet:
    return Packet(bytes(size), key, at_s, H264)


def filled(seconds: float = 2.0, *, group: int = 5, count: int = 50, max_bytes: int = 10_000) -> PacketRing:
    """Ten packets a second, every `group`-th a key frame."""
    ring = PacketRing(seconds, max_bytes=max_bytes)
    connection = ring.connect()
    for number in range(count):
        ring.add(connection, packet(number / 10, key=number % group == 0))
    return ring


def times(ring: PacketRing, number: int = 0) -> list[float]:
    return [each.arrived_at for each in ring.since(number)[1]]


def test_it_keeps_the_seconds_back_to_a_key_frame() -> None:
    ring = filled(2.0, group=8)
    assert times(ring)[0] == 2.4
    assert times(ring)[-1] == 4.9
    assert ring.since(0)[0] == 24


def test_a_moment_is_shown_from_the_key_frame_before_it() -> None:
    ring = filled(2.0, group=8)
    assert ring.start_of(3.5) == 32
    assert ring.start_of(0.0) == 24, "older than all: the first key frame"
    assert PacketRing(1.0).start_of(0.0) is None


def test_more_bytes_than_allowed_shorten_the_time() -> None:
    ring = filled(100.0, group=5, max_bytes=222)
    assert ring.size <= 222
    assert len(times(ring)) >= 15


def test_one_group_of_pictures_that_is_too_large_is_left_out_to_the_next_key_frame() -> None:
    ring = filled(100.0, group=40, count=40, max_bytes=222)
    assert times(ring) == []
    connection = ring.connect()
    ring.add(connection, packet(9.0))
    assert times(ring) == []
    ring.add(connection, packet(9.1, key=True))
    assert times(ring) == [9.1]


def test_the_newest_connection_gives_from_its_first_key_frame_on() -> None:
    ring = PacketRing(100.0)
    old, new = ring.connect(), ring.connect()
    ring.add(old, packet(0.0, key=True))
    ring.add(new, packet(0.1))
    ring.add(old, packet(0.2))
    ring.add(new, packet(0.3, key=True))
    ring.add(old, packet(0.4, key=True))
    ring.add(new, packet(0.5))
    assert times(ring) == [0.0, 0.2, 0.3, 0.5]


def test_an_older_connection_goes_on_when_the_newest_ends() -> None:
    ring = PacketRing(100.0)
    old, new = ring.connect(), ring.connect()
    ring.add(new, packet(0.0, key=True))
    ring.leave(new)
    ring.add(old, packet(0.1))
    ring.add(old, packet(0.2, key=True))
    assert times(ring) == [0.0, 0.2]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 40), st.floats(0, 1)), max_size=60),
    st.floats(0, 5),
    st.integers(1, 200),
)
def test_it_is_bounded_and_begins_with_a_key_frame(
    packets: list[tuple[bool, int, float]], seconds: float, max_bytes: int
) -> None:
    ring, now = PacketRing(seconds, max_bytes=max_bytes), 0.0
    connection = ring.connect()
    for is_key, size, step in packets:
        now += step
        ring.add(connection, packet(now, key=is_key, size=size))
        kept = ring.since(0)[1]
        assert ring.size == sum(len(each.data) for each in kept) <= max_bytes
        assert not kept or kept[0].is_key
        later = [each for each in kept[1:] if each.is_key]
        assert not later or later[0].arrived_at > now - seconds
