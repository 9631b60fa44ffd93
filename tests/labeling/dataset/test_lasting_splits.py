"""Parts of frames that last while frames are added."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.dataset.lasting_splits import lasting_splits, read_splits
from edgeloop.labeling.dataset.split import Split
from edgeloop.labeling.frames.perceptual_hash import HASH_BITS
from edgeloop.labeling.frames.recordings import FrameGroups
from edgeloop.models.errors import DataError


def letters(path: Path, indices: list[int], *, like: dict[int, int] | None = None) -> str:
    """Parts of the frames of one film at these indices; `like`: indices that look the same."""
    codes = np.array([np.random.default_rng((like or {}).get(i, i)).random(HASH_BITS) < 0.5 for i in indices])
    entries = [FrameEntry(f"{index}.jpg", "a", index) for index in indices]
    groups = FrameGroups("film", [range(len(indices))], codes)
    splits = lasting_splits(path, entries, groups, val_share=0.2, gap_share=0.1, seed=1)
    return "".join(split.value[0] for split in splits)


def test_added_frames_are_split_among_themselves(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    first = list(range(0, 100, 10))
    assert letters(path, first) == "tttttttgvv"
    added = list(range(1000, 1100, 10))
    assert letters(path, first + added) == "tttttttgvv" * 2
    assert letters(path, added) == "tttttttgvv"
    assert read_splits(path)["80.jpg"] is Split.VAL


def test_an_added_frame_next_to_one_of_the_other_part_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    first = list(range(0, 100, 10))  # val from 80 on
    letters(path, first)
    added = [92, *range(1000, 1090, 10)]
    assert letters(path, first + added)[10:] == "gttttttgvv"


def test_an_added_frame_that_looks_like_one_of_the_other_part_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    first, added = list(range(0, 100, 10)), list(range(1000, 1100, 10))
    letters(path, first)
    assert letters(path, first + added, like={1000: 90, 1090: 0})[10:] == "gttttttgvg"


def test_a_malformed_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"0.jpg": "test"}))
    with pytest.raises(DataError, match="train, val, gap"):
        letters(path, [0, 10])
