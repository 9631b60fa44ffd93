"""Progress goes to stderr and leaves stdout alone."""

from __future__ import annotations

import io
import re
import time
from contextlib import redirect_stderr

import pytest

from edgeloop.edge.cli.progress import progress, progress_bar


def test_items_pass_through_and_stdout_stays_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(["a", "b", "c"], "Labeling")) == ["a", "b", "c"]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Labeling" in shown.err
    assert "3/3" in shown.err


def test_items_without_a_length_pass_too() -> None:
    assert list(progress(iter(range(3)), "Reading")) == [0, 1, 2]


def test_a_bar_is_moved_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(10, "Training") as advance:
        advance(4)
        advance(6)
    assert "10/10" in capsys.readouterr().err


def test_rate_and_time_left_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(5, "Labeling") as advance:
        for _ in range(5):
            advance(1)
    assert re.search(r"5/5 +\d+\.\d+/s 00:00<00:00", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("total", "steps", "shown"),
    [
        pytest.param(None, 3, r"Drawing +3 +\d+\.\d+/s 00:00\n", id="an unknown number"),
        pytest.param(None, 0, "", id="an unknown number, and none came"),
        pytest.param(0, 0, "", id="nothing to do"),
    ],
)
def test_no_total_is_shown_where_there_is_none(
    total: int | None, steps: int, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar(total, "Drawing") as advance:
        for _ in range(steps):
            advance(1)
    assert re.fullmatch(shown, capsys.readouterr().err)


class Terminal(io.StringIO):
    """A screen that keeps what it was told."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_line_is_rewritten() -> None:
    with redirect_stderr(Terminal()) as terminal, progress_bar(4, "Training") as advance:
        for _ in range(4):
            time.sleep(0.11)
            advance(1)
    shown = terminal.getvalue()
    assert re.findall(r"(\d)/4", shown)[:5] == ["0", "1", "2", "3", "4"]
    assert shown.count("\r") >= 5
    assert shown.count("\n") == 1


def test_elsewhere_it_is_one_closing_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(2, "Training") as advance:
        time.sleep(0.11)
        advance(1)
        advance(1)
    assert re.fullmatch(r"Training +#+ 2/2 .*\n", capsys.readouterr().err)
