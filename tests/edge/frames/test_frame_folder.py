"""The folder of frames as `edgeloop label` reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeloop.edge.frames.folder import FrameEntry, FrameWriter, read_frames
from edgeloop.models.errors import DataError, NoInputError

LINE = '{"file": "a.jpg", "source": "cam", "index": 4, "time_s": 0.4, "wall_time": null}\n'


def test_plain_folder_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.jpg", "2.png", "1.JPG", "notes.txt"):
        (tmp_path / name).touch()
    entries = read_frames(tmp_path)
    assert [(entry.file, entry.index, entry.time_s) for entry in entries] == [
        ("1.JPG", 0, None),
        ("2.png", 1, None),
        ("10.jpg", 2, None),
    ]
    assert {entry.source for entry in entries} == {str(tmp_path)}


def test_listed_frames_come_in_the_order_of_the_list(tmp_path: Path) -> None:
    (tmp_path / "frames.jsonl").write_text(LINE.replace("a.jpg", "z.jpg") + LINE)
    assert [entry.file for entry in read_frames(tmp_path)] == ["z.jpg", "a.jpg"]


def test_a_list_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "frames.jsonl").write_text(LINE.replace("cam", "é"), encoding="utf-8-sig")
    assert [(entry.file, entry.source) for entry in read_frames(tmp_path)] == [("a.jpg", "é")]


def test_half_a_last_line_is_what_a_killed_collect_leaves(tmp_path: Path) -> None:
    (tmp_path / "frames.jsonl").write_text(LINE + LINE[:30])
    assert [entry.file for entry in read_frames(tmp_path)] == ["a.jpg"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(LINE + "{}\n", "frames.jsonl:2: file", id="a line without a file"),
        pytest.param("no json\n" + LINE, "frames.jsonl:1", id="a line that is no json"),
        pytest.param(LINE + LINE, "share one label file", id="a frame twice"),
        pytest.param(LINE.replace("a.jpg", "../a.jpg"), "must be a name", id="a file elsewhere"),
        pytest.param(LINE.replace("a.jpg", "a\\u0000b.jpg"), "must be a name", id="a NUL in a name"),
        pytest.param(LINE.replace("cam", "é"), r"frames\.jsonl: not UTF-8 text", id="another encoding"),
    ],
)
def test_malformed_list(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "frames.jsonl").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=words):
        read_frames(tmp_path)


def test_missing_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="no such folder"):
        read_frames(tmp_path / "nothing")
    with pytest.raises(NoInputError, match="no frame in it"):
        read_frames(tmp_path)


def test_names_that_differ_in_the_suffix_only(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"a\.jpg and a\.png would share one label file"):
        read_frames(tmp_path)


def test_frames_are_added_after_half_a_line(tmp_path: Path) -> None:
    (tmp_path / "frames.jsonl").write_text(LINE + LINE[:30])
    with FrameWriter(tmp_path, append=True) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), FrameEntry("a.jpg", "cam", 0))
    assert [entry.file for entry in read_frames(tmp_path)] == ["a.jpg", "a-2.jpg"]


def test_frames_are_added_to_a_list_that_was_killed_before_its_first(tmp_path: Path) -> None:
    (tmp_path / "frames.jsonl").touch()
    with FrameWriter(tmp_path, append=True) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), FrameEntry("a.jpg", "cam", 0))
    assert [entry.file for entry in read_frames(tmp_path)] == ["a.jpg"]


def test_a_run_without_a_frame_leaves_a_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "frames.jsonl").write_text(LINE)
    with FrameWriter(tmp_path, append=True):
        pass
    assert (tmp_path / "frames.jsonl").read_text() == LINE
