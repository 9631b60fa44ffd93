"""Known lines of a library are left out; everything else that is written to stderr arrives."""

from __future__ import annotations

import os
import re
from contextlib import suppress

import pytest

from edgeloop.edge.host.stderr_filter import without_lines

KNOWN = re.compile("INFO: chatter")


def test_known_lines_are_left_out_and_all_others_arrive(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with without_lines(KNOWN):
        os.write(2, b"INFO: chatter of a library\nERROR: the cause\n\xff bytes\nno end")
    os.write(2, b", after\nINFO: chatter outside\n")
    expected = "before\nERROR: the cause\n\ufffd bytes\nno end, after\nINFO: chatter outside\n"
    assert capfd.readouterr().err == expected


def test_what_was_said_before_an_error_arrives(capfd: pytest.CaptureFixture[str]) -> None:
    with suppress(ValueError), without_lines(KNOWN):
        os.write(2, b"INFO: chatter\nFATAL: no memory\n")
        raise ValueError
    assert capfd.readouterr().err == "FATAL: no memory\n"
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "later\n"


def test_a_process_without_stderr_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_descriptor: int) -> int:
        raise OSError("bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    with without_lines(KNOWN):
        done = True
    assert done
