"""Frames that a job has left: what counts is the content of an image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.ledger import FrameResult, LabeledRow, Ledger
from edgeloop.labeling.unlabeled import unlabeled_frames

LATER = (2_000_000_000, 2_000_000_000)  # time of access and of change, s


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    (tmp_path / "frames").mkdir()
    for name in ("a", "b"):
        (tmp_path / "frames" / f"{name}.jpg").write_bytes(name.encode())
    return FolderStore(tmp_path / "frames")


@pytest.fixture
def ledger(store: FolderStore, tmp_path: Path) -> Iterator[Ledger]:
    """Both frames are labeled."""
    with Ledger(tmp_path / "ledger.sqlite3", {}) as opened:
        for entry in store.entries():
            digest = hashlib.sha256(store.read(entry.file)).hexdigest()
            opened.add(LabeledRow(FrameResult(file=entry.name), digest, b""), store.stamp(entry.file))
        yield opened


def left(store: FolderStore, ledger: Ledger) -> list[str]:
    return [entry.file for entry, _ in unlabeled_frames(store.entries(), store, ledger)]


def test_nothing_is_left_of_what_is_labeled(store: FolderStore, ledger: Ledger) -> None:
    assert left(store, ledger) == []


def test_frame_that_was_added_is_left(store: FolderStore, ledger: Ledger) -> None:
    (store.folder / "c.jpg").write_bytes(b"c")
    assert left(store, ledger) == ["c.jpg"]


def test_frame_with_other_content_is_left(store: FolderStore, ledger: Ledger) -> None:
    (store.folder / "a.jpg").write_bytes(b"x")
    os.utime(store.folder / "a.jpg", LATER)
    assert left(store, ledger) == ["a.jpg"]


def test_frame_written_again_with_the_same_content_is_not_left(
    store: FolderStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its content is compared once: the new stamp is noted."""
    os.utime(store.folder / "a.jpg", LATER)
    assert left(store, ledger) == []
    monkeypatch.setattr(FolderStore, "read", lambda *_: pytest.fail("read again"))
    assert left(store, ledger) == []


def test_frame_that_is_gone_is_left(store: FolderStore, ledger: Ledger) -> None:
    entries = store.entries()
    (store.folder / "a.jpg").unlink()
    assert [entry.file for entry, _ in unlabeled_frames(entries, store, ledger)] == ["a.jpg"]


def test_frame_that_failed_is_tried_again_after_the_others(store: FolderStore, ledger: Ledger) -> None:
    (store.folder / "c.jpg").write_bytes(b"c")
    ledger.add(LabeledRow(FrameResult(file="a.jpg", problem="2 workers died"), "", b""), store.stamp("a.jpg"))
    assert left(store, ledger) == ["c.jpg", "a.jpg"]


def test_frame_that_is_no_image_is_not_tried_again(store: FolderStore, ledger: Ledger) -> None:
    digest = hashlib.sha256(b"a").hexdigest()
    ledger.add(LabeledRow(FrameResult(file="a.jpg", problem="no image"), digest, b""), store.stamp("a.jpg"))
    assert left(store, ledger) == []
