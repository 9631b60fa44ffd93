"""Snapshots of every `--help` in `help/`; EDGELOOP_UPDATE_SNAPSHOTS=1 renews them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeloop.edge.cli.app import SUMMARIES
from tests.calls import edgeloop

SNAPSHOTS = Path(__file__).parent / "help"


@pytest.mark.parametrize("verb", ["edgeloop", *SUMMARIES])
def test_help_is_as_written(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    # In a process of its own: click remembers the help option of a command that was called without its group.
    shown = edgeloop(*([] if verb == "edgeloop" else [verb]), "--help")
    assert shown.returncode == 0, shown.stderr
    snapshot = SNAPSHOTS / f"{verb}.txt"
    if os.environ.get("EDGELOOP_UPDATE_SNAPSHOTS"):
        snapshot.write_text(shown.stdout)
    assert shown.stdout == snapshot.read_text()
