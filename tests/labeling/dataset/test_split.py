"""Train, gap and val by time."""

from __future__ import annotations

import pytest

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.dataset.split import split_by_time


def taken(source: str, count: int) -> list[FrameEntry]:
    return [FrameEntry(file=f"{source}{i}.jpg", source=source, index=i) for i in range(count)]


@pytest.mark.parametrize(
    ("count", "val_share", "gap_share", "letters"),
    [
        pytest.param(10, 0.2, 0.1, "tttttttgvv", id="ten frames"),
        pytest.param(10, 0.2, 0.0, "ttttttttvv", id="no gap"),
        pytest.param(10, 0.2, 0.01, "tttttttgvv", id="a gap is at least a frame"),
        pytest.param(10, 0.0, 0.1, "tttttttttt", id="no val"),
        pytest.param(4, 0.2, 0.1, "tttt", id="too few to split"),
        pytest.param(5, 0.9, 0.5, "tvvvv", id="train is never empty"),
    ],
)
def test_one_source(count: int, val_share: float, gap_share: float, letters: str) -> None:
    splits = split_by_time(taken("a", count), val_share=val_share, gap_share=gap_share)
    assert "".join(split.value[0] for split in splits) == letters


def test_each_source_is_split_for_itself() -> None:
    frames = [frame for pair in zip(taken("a", 6), taken("b", 6), strict=True) for frame in pair]
    splits = split_by_time(frames, val_share=0.2, gap_share=0.1)
    assert "".join(split.value[0] for split in splits) == "ttttttttggvv"


def test_a_second_recording_of_a_camera_is_split_for_itself() -> None:
    times = [*range(10), *range(5)]
    frames = [FrameEntry(f"{place}.jpg", "0", place, float(time)) for place, time in enumerate(times)]
    splits = split_by_time(frames, val_share=0.2, gap_share=0.1)
    assert "".join(split.value[0] for split in splits) == "tttttttgvv" + "tttgv"
