"""Ledger of a labeling job on a disk that takes no more, or not at all."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from edgeloop.labeling.ledger import FrameResult, LabeledRow, Ledger
from edgeloop.models.errors import UnavailableError


def test_a_full_disk_is_said_in_one_line_and_loses_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    added = []

    def add_frames(ledger: Ledger) -> None:
        for number in range(100):
            ledger.add(LabeledRow(FrameResult(file=f"{number}.jpg"), "d", bytes(5000)), "1-2")
            added.append(f"{number}.jpg")

    try:
        with Ledger(path, {}) as ledger:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
            with pytest.raises(UnavailableError, match=r"ledger\.sqlite3: cannot be written"):
                add_frames(ledger)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert added
    with Ledger(path, {}) as ledger:
        assert ledger.stamps().keys() == {*added}


def test_a_folder_that_cannot_be_written_is_not_said_to_be_in_use(tmp_path: Path) -> None:
    told = r"gone/ledger\.sqlite3: cannot be written \(unable to open .*\); name another place"
    with pytest.raises(UnavailableError, match=told):
        Ledger(tmp_path / "gone" / "ledger.sqlite3", {})
