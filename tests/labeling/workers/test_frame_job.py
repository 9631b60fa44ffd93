"""Frames of a shard: batches, and those that fail."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgeloop.labeling.workers.frame_job import Outcome, Shard, handle_shard
from edgeloop.models.errors import DataError
from tests.labeling.workers.stand_in_job import MemoryStore, NamedItem, StandInJob, items_of

GONE = "cannot be read (No such file or directory)"


class Batches:
    """Handler that notes its batches, and fails where a frame says so.

    Attributes:
        seen: Names of the frames of each batch.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, frames: Sequence[tuple[NamedItem, bytes]], /) -> list[tuple[str, str]]:
        self.seen.append("".join(item.file for item, _ in frames))
        for item, data in frames:
            if data == b"bad":
                raise DataError(f"{item.file}: bad\nfrom the start")
            if data == b"odd":
                raise ValueError
            if data == b"slow":
                raise TimeoutError("no answer")
        return [(item.file, data.decode()) for item, data in frames]


def handle(frames: dict[str, bytes], batch: int) -> tuple[list[Outcome[tuple[str, str]]], list[str]]:
    store = MemoryStore(frames)
    items = items_of(store)
    handler = Batches()
    shard = Shard(range(len(items)), items)
    return handle_shard(handler, StandInJob(store, batch=batch), shard), handler.seen


def test_frames_are_handled_in_batches() -> None:
    outcomes, seen = handle(dict.fromkeys("abcde", b"x"), 2)
    assert outcomes == [Outcome((name, "x"), None) for name in "abcde"]
    assert seen == ["ab", "cd", "e"]


def test_a_batch_that_fails_is_handled_frame_by_frame() -> None:
    outcomes, seen = handle({"a": b"x", "b": b"bad", "c": b"x", "d": b"x", "e": b"x"}, 3)
    assert outcomes[1] == Outcome(None, "b: bad")
    assert [outcome.row for outcome in outcomes if outcome.fault is None] == [(name, "x") for name in "acde"]
    assert seen == ["abc", "a", "b", "c", "de"]


@pytest.mark.parametrize(("data", "told"), [(b"odd", "ValueError"), (b"slow", "cannot be read (no answer)")])
def test_the_reason_is_one_line(data: bytes, told: str) -> None:
    assert handle({"a": data}, 1)[0] == [Outcome(None, told, is_unread=data == b"slow")]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_frame_that_is_gone_leaves_the_others(batch: int) -> None:
    items = [NamedItem("a"), NamedItem("gone"), NamedItem("b")]
    job = StandInJob(MemoryStore({"a": b"x", "b": b"x"}), batch=batch)
    done = Outcome(("a", "x"), None), Outcome(None, GONE, is_unread=True), Outcome(("b", "x"), None)
    assert tuple(handle_shard(Batches(), job, Shard(range(3), items))) == done
    sent: list[bytes | OSError] = [b"x", FileNotFoundError(2, "No such file or directory", "gone"), b"x"]
    assert tuple(handle_shard(Batches(), job, Shard(range(3), items, sent))) == done
