"""Progress goes to stderr and leaves stdout alone."""

from __future__ import annotations

import re
import time

import pytest

from edge.progress import progress, progress_bar


def test_items_pass_through_and_stdout_stays_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(["a", "b", "c"], "Labelling")) == ["a", "b", "c"]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Labelling" in shown.err
    assert "3/3" in shown.err


def test_items_without_a_length_pass_too() -> None:
    assert list(progress(iter(range(3)), "Reading")) == [0, 1, 2]


def test_a_bar_is_moved_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(10, "Training") as advance:
        advance(4)
        advance(6)
    assert "10/10" in capsys.readouterr().err


def test_rate_and_time_left_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(5, "Labelling") as advance:
        for _ in range(5):
            time.sleep(0.01)
            advance(1)
    shown = re.search(r"5/5 (\d+\.\d)/s \d:\d\d:\d\d 0:00:00", capsys.readouterr().err)
    assert shown is not None
    assert 1 <= float(shown[1]) <= 100
