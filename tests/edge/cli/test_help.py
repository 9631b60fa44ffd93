"""Snapshots of every `--help` in `help/`; EDGELOOP_UPDATE_SNAPSHOTS=1 renews them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeloop.edge.cli.app import SUMMARIES
from tests.calls import Outcome

SNAPSHOTS = Path(__file__).parent / "help"


@pytest.mark.parametrize("verb", ["edgeloop", *SUMMARIES])
def test_help_is_as_written(
    edgeloop: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    shown = edgeloop(*([] if verb == "edgeloop" else [verb]), "--help")
    assert shown.code == 0, shown.err
    snapshot = SNAPSHOTS / f"{verb}.txt"
    if os.environ.get("EDGELOOP_UPDATE_SNAPSHOTS"):
        snapshot.write_text(shown.out)
    assert shown.out == snapshot.read_text()
