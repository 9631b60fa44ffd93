"""Output files are refused at the start of a run that could not write them at its end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeloop.edge.host.outputs import check_output_path
from edgeloop.models.errors import DataError, NoInputError, UnavailableError


def test_a_new_file_and_one_to_replace_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    check_output_path("summary", path, overwrite=False)
    path.touch()
    check_output_path("summary", path, overwrite=True)
    with pytest.raises(DataError, match=r"summary .*run\.json: the file exists"):
        check_output_path("summary", path, overwrite=False)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="no such folder"):
        check_output_path("summary", tmp_path / "gone" / "run.json", overwrite=False)


@pytest.mark.parametrize("exists", [False, True])
def test_a_place_that_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool) -> None:
    path = tmp_path / "run.json"
    if exists:
        path.touch()
    closed = path if exists else tmp_path  # root may write everywhere, so the answer is a stand-in
    monkeypatch.setattr(os, "access", lambda asked, _mode: asked != closed)
    with pytest.raises(UnavailableError, match=r"run\.json: cannot be written \(Permission denied\)"):
        check_output_path("summary", path, overwrite=True)
