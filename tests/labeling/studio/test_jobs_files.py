"""Files of the jobs: a ledger that another process holds is read, and nothing is deleted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeloop.labeling.studio.jobs import job_files
from edgeloop.labeling.studio.jobs.job_files import LedgerCopy, label_is_locked, put_aside
from tests.waiting import until

LABELING = """
import sys
from pathlib import Path
from edgeloop.labeling.ledger import FrameResult, Label, LabeledRow, Ledger
box = Label(xyxy=(1, 2, 30, 40), class_id=0, score=0.9, prompt="detector", sam_score=0.8)
with Ledger(Path(sys.argv[1]), {"seed": "0"}) as ledger:
    for line in sys.stdin:
        name, _, content = line.strip().partition(" ")
        result = FrameResult(file=name, width=320, height=240, labels=() if content else (box,))
        ledger.add(LabeledRow(result, content, b""), "")
        print(line, end="", flush=True)
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Process that labels the frames whose names it is told."""
    folder = tmp_path / "dataset.unfinished"
    folder.mkdir()
    child = subprocess.Popen(
        [sys.executable, "-c", LABELING, str(folder / "ledger.sqlite3")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        yield child
        child.kill()


def label(terminal: subprocess.Popen[str], name: str) -> None:
    assert terminal.stdin is not None
    assert terminal.stdout is not None
    print(name, file=terminal.stdin, flush=True)
    assert terminal.stdout.readline() == f"{name}\n"


def test_labels_of_another_process_are_read_while_it_labels(
    terminal: subprocess.Popen[str], tmp_path: Path
) -> None:
    dataset = tmp_path / "dataset"
    ledger = LedgerCopy(dataset)
    label(terminal, "a.jpg")
    assert label_is_locked(dataset)
    assert list(ledger.results()) == ["a.jpg"]
    label(terminal, "b.jpg")
    results = ledger.results()
    assert list(results) == ["a.jpg", "b.jpg"]
    assert results["b.jpg"].labels[0].xyxy == (1, 2, 30, 40)
    label(terminal, "a.jpg rewritten")
    assert [(name, len(result.labels)) for name, result in ledger.results().items()] == [
        ("b.jpg", 1),
        ("a.jpg", 0),
    ]
    terminal.kill()
    terminal.wait()
    assert not label_is_locked(dataset)
    assert len(ledger.results()) == 2


def test_a_ledger_that_takes_long_to_read_is_read_seldom(
    terminal: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_files, "_LONG_S", 0.0)
    ledger = LedgerCopy(tmp_path / "dataset")
    label(terminal, "a.jpg")
    assert list(ledger.results()) == ["a.jpg"]
    monkeypatch.setattr(job_files, "_REST", 1e6)
    label(terminal, "b.jpg")
    until(lambda: len(ledger.results()) == 2)
    label(terminal, "c.jpg")
    assert len(ledger.results()) == 2


def test_nothing_is_labeled_where_nobody_began(tmp_path: Path) -> None:
    assert not label_is_locked(tmp_path / "dataset")
    assert LedgerCopy(tmp_path / "dataset").results() == {}


def test_what_is_put_aside_gets_the_next_free_number(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    for expected in ("dataset.1", "dataset.2"):
        dataset.mkdir()
        assert put_aside(dataset) == tmp_path / expected
    assert put_aside(dataset) is None
