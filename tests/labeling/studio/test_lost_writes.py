"""Writes that fail half-way: what was saved stays, and what comes after is whole."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeloop.labeling.dataset.decisions import LabelBox, RightDecision
from edgeloop.labeling.studio.proposals.rejections import RejectedBox, Rejections
from edgeloop.labeling.studio.review.journal import Journal
from edgeloop.models.errors import UnavailableError


@contextmanager
def full_disk(path: Path, left: int) -> Iterator[None]:
    """Let a file grow by so many bytes only."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_decision_that_does_not_fit_on_the_disk_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    journal = Journal(path)
    made = [
        RightDecision(batch=batch, file="a", box=LabelBox(name="bolt", xyxy=(1, 2, 3, 4)))
        for batch in (1, 2, 3)
    ]
    journal.add(made[:1])
    with full_disk(path, 20), pytest.raises(UnavailableError, match="cannot be written"):
        journal.add(made[1:2])
    journal.add(made[2:])
    assert Journal(path).decisions() == journal.decisions() == [made[0], made[2]]


def test_a_rejection_that_does_not_fit_on_the_disk_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "rejected.jsonl"
    rejections, box = Rejections(path), (RejectedBox(xyxy=(1, 2, 3, 4), name="bolt"),)
    rejections.reject("a", box)
    with full_disk(path, 20), pytest.raises(UnavailableError, match="cannot be written"):
        rejections.reject("b", box)
    rejections.reject("c", box)
    assert [len(Rejections(path).of(name)) for name in "abc"] == [1, 0, 1]
