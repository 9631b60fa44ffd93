"""Makers' tools in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeloop.export.convert import run_tool as module
from edgeloop.export.convert.run_tool import run_tool
from edgeloop.models.errors import ModelError, UnavailableError


def test_what_a_tool_printed_comes_back(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['DO_NOT_TRACK']); print('aside', file=sys.stderr)"
    said = run_tool("tool", [sys.executable, "-c", code], tmp_path)
    assert set(said.split()) == {str(tmp_path.resolve()), "aside", "1"}


def test_a_failure_is_told_with_the_last_lines(tmp_path: Path) -> None:
    code = "print(*range(100), sep='\\n'); raise SystemExit(3)"
    with pytest.raises(ModelError, match=r"tool: failed with exit code 3:\n88\n") as caught:
        run_tool("tool", [sys.executable, "-c", code], tmp_path)
    assert str(caught.value).endswith("\n99")


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
