"""Progress goes to stderr and leaves stdout alone."""

from __future__ import annotations

import io
import re
import time
from contextlib import redirect_stderr

import click
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


class Terminal(io.StringIO):
    """A screen that keeps every line it was ever told."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        return [click.unstyle(line) for line in self.getvalue().split("\r\x1b[K")[1:]]


def test_on_a_terminal_the_line_is_rewritten() -> None:
    with redirect_stderr(Terminal()) as terminal, progress_bar(4, "Training") as advance:
        for _ in range(4):
            time.sleep(0.11)
            advance(1)
    lines = terminal.lines()
    assert [re.findall(r"(\d)/4", line) for line in lines] == [["0"], ["1"], ["2"], ["3"], ["4"], ["4"]]
    assert [line.count("\N{BOX DRAWINGS HEAVY HORIZONTAL}") for line in lines] == [0, 8, 16, 24, 32, 32]
    assert "\n" not in "".join(lines[:-1])


def test_a_line_fits_into_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with redirect_stderr(Terminal()) as terminal, progress_bar(1000, "Training") as advance:
        advance(1000)
    assert all(30 < len(line.rstrip("\n")) < 60 for line in terminal.lines())


def test_what_was_done_earlier_does_not_count_as_fast() -> None:
    with redirect_stderr(Terminal()) as terminal, progress_bar(1_000_000, "vit_b", in_bytes=True) as advance:
        advance(900_000)
        time.sleep(0.11)
        advance(100_000)
    rate = re.search(r"1\.0/1\.0 MB (\d+\.\d) MB/s", terminal.lines()[-2])
    assert rate is not None
    assert float(rate[1]) < 1
