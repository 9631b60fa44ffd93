"""Makers' tools in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeloop.export.convert import run_tool as module
from edgeloop.export.convert.run_tool import last_words, run_tool
from edgeloop.models.errors import ModelError, UnavailableError


def test_what_a_tool_printed_comes_back(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['DO_NOT_TRACK']); print('aside', file=sys.stderr)"
    said = run_tool("tool", [sys.executable, "-c", code], tmp_path)
    assert set(said.split()) == {str(tmp_path.resolve()), "aside", "1"}


def test_a_failure_is_told_in_one_line(tmp_path: Path) -> None:
    code = (
        "print('step 1'); print('E build: no such layer, failed'); print('100%\\n---'); raise SystemExit(3)"
    )
    with pytest.raises(ModelError) as caught:
        run_tool("tool", [sys.executable, "-c", code], tmp_path)
    assert str(caught.value) == "tool: failed with exit code 3; it said: E build: no such layer, failed"


@pytest.mark.parametrize(
    ("said", "last"),
    [
        ("Traceback (most recent call last):\n  File 'x'\nValueError: no layer!\n", "ValueError: no layer!"),
        ("ort CreateSession failed: bad\nexit\n", "ort CreateSession failed: bad"),
        ("\x1b[91mE fatal: bad\x1b[0m\n| 50 %\r| 100 %\n=====\n", "E fatal: bad"),
        ("one\ntwo\n12 345\n", "two"),
        ("error " + 1000 * "x", "error " + 391 * "x" + "..."),
        ("\n \n", "nothing"),
    ],
)  # fmt: skip
def test_last_words_are_the_last_line_that_names_a_fault(said: str, last: str) -> None:
    assert last_words(said) == last


def test_a_crash_is_a_failure(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    with pytest.raises(ModelError, match="tool: failed with exit code -11"):
        run_tool("tool", [sys.executable, "-c", code], tmp_path)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="tool: cannot be started"):
        run_tool("tool", [tmp_path / "none"], tmp_path)


def test_a_tool_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIMIT_S", 1)
    with pytest.raises(ModelError, match="still running after"):
        run_tool("tool", [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path)
