"""Train, gap and val by time, and by groups."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
import pytest

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.dataset.split import split_frames
from edgeloop.labeling.frames.perceptual_hash import HASH_BITS
from edgeloop.labeling.frames.recordings import FrameGroups


def letters(
    *sizes: int,
    kind: Literal["film", "photos"] = "film",
    step: int = 10,
    val_share: float = 0.2,
    gap_share: float = 0.1,
    like: tuple[int, int] = (0, 0),
) -> str:
    """Split groups of so many frames, whose indices are `step` apart; `like`: two that look the same."""
    count = sum(sizes)
    codes = np.random.default_rng(0).random((count, HASH_BITS)) < 0.5
    codes[like[0]] = codes[like[1]]
    frames = [FrameEntry(f"{place}.jpg", "a", place * step) for place in range(count)]
    ends = pairwise(accumulate(sizes, initial=0))
    groups = FrameGroups(kind, [range(start, end) for start, end in ends], codes)
    splits = split_frames(frames, groups, val_share=val_share, gap_share=gap_share, seed=1)
    return "".join(split.value[0] for split in splits)


@pytest.mark.parametrize(
    ("count", "val_share", "gap_share", "expected"),
    [
        pytest.param(10, 0.2, 0.1, "tttttttgvv", id="ten frames"),
        pytest.param(10, 0.2, 0.0, "ttttttttvv", id="no gap"),
        pytest.param(10, 0.2, 0.01, "tttttttgvv", id="a gap is at least a frame"),
        pytest.param(10, 0.0, 0.1, "tttttttttt", id="no val"),
        pytest.param(4, 0.2, 0.1, "tttt", id="too few to split"),
        pytest.param(5, 0.9, 0.5, "tvvvv", id="train is never empty"),
    ],
)
def test_one_recording(count: int, val_share: float, gap_share: float, expected: str) -> None:
    assert letters(count, val_share=val_share, gap_share=gap_share) == expected


def test_the_gap_is_wider_if_every_frame_was_kept() -> None:
    assert letters(30, step=1, gap_share=0.01) == "t" * 19 + "g" * 5 + "v" * 6


def test_long_recordings_are_split_each_for_itself() -> None:
    assert letters(60, 50) == "t" * 42 + "g" * 6 + "v" * 12 + "t" * 35 + "g" * 5 + "v" * 10


def test_short_recordings_may_all_be_val() -> None:
    assert letters(*[10] * 10, val_share=0.999) == "v" * 100


def test_short_recordings_go_to_one_part_as_a_whole() -> None:
    parts = letters(*[10] * 10)
    assert "g" not in parts
    assert parts.count("v") == 20
    assert all(len(set(parts[start : start + 10])) == 1 for start in range(0, 100, 10))


def test_recordings_too_large_to_be_val_are_split_by_time() -> None:
    assert letters(6, 6) == "tttt" + "gv" + "tttt" + "gv"


def test_val_frame_that_repeats_a_training_frame_is_left_out() -> None:
    assert letters(10, like=(2, 9)) == "tttttttgvg"
    assert letters(10, like=(2, 9), gap_share=0.0) == "ttttttttvv"


def test_near_duplicate_photos_stay_together() -> None:
    parts = letters(3, 1, 1, 4, 1, 1, 1, 2, 1, 1, kind="photos")
    assert parts.count("v") == 3
    assert parts.count("t") == 13
    assert len(set(parts[:3])) == len(set(parts[5:9])) == len(set(parts[12:14])) == 1


def test_val_has_photos_even_if_each_group_is_large() -> None:
    assert letters(5, 4, kind="photos") == "tttttvvvv"
    assert letters(9, kind="photos") == "ttttttttt"
