"""The dataset's files, and the memory that writing them takes."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.dataset.json_stream import open_json_stream
from edgeloop.labeling.dataset.split import Split
from edgeloop.labeling.dataset.write import LabeledFrame, write_dataset
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.ledger import FrameResult, Label

LABELS_PER_FRAME = 12


@pytest.fixture
def frames_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.zeros((8, 8, 3), np.uint8))
    return folder


def labeled(count: int, frames_folder: Path) -> Iterator[LabeledFrame]:
    """Frames that are all of one picture."""
    for index in range(count):
        name = f"{index}.png"
        if index:
            (frames_folder / name).hardlink_to(frames_folder / "0.png")
        label = Label(xyxy=(1, 1, 5, 6.5), class_id=0, score=0.5, prompt="similar", sam_score=0.7)
        result = FrameResult(
            file=name, width=8, height=8, labels=(label,) * LABELS_PER_FRAME, unsure=(label,)
        )
        entry = FrameEntry(file=name, source="belt.mp4", index=index)
        yield LabeledFrame(entry, Split.VAL if index % 5 == 4 else Split.TRAIN, result)


def peak_bytes(count: int, folder: Path) -> int:
    """Most memory that Python held at once while a dataset of so many frames was written."""
    frames = folder / "frames"
    tracemalloc.start()
    write_dataset(folder / f"dataset{count}", ["part"], labeled(count, frames), FolderStore(frames), {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for name in range(1, count):
        (frames / f"{name}.png").unlink()
    return peak


@pytest.mark.slow
@pytest.mark.usefixtures("frames_folder")
def test_memory_does_not_grow_with_the_frames(tmp_path: Path) -> None:
    peak_bytes(2, tmp_path)  # what is imported and cached once
    few, many = (peak_bytes(count, tmp_path) for count in (100, 600))
    # 500 frames more, of 13 boxes each: their 500 paths, not 5 MB of entries.
    assert many - few < 0.5e6


def test_entries_are_numbered_and_all_there(tmp_path: Path, frames_folder: Path) -> None:
    out = tmp_path / "dataset"
    report = write_dataset(
        out, ["part"], labeled(10, frames_folder), FolderStore(frames_folder), {"sam": "nano"}
    )
    assert report.images == {"train": 8, "val": 2, "gap": 0}
    assert report.unsure == {"part": 10}
    coco = json.loads((out / "instances.json").read_text())
    assert len(coco["info"].pop("boxes_digest")) == 64
    assert coco["info"] == {"sam": "nano", "digest": report.digest}
    assert [image["id"] for image in coco["images"]] == list(range(1, 11))
    assert [label["id"] for label in coco["annotations"]] == list(range(1, 10 * LABELS_PER_FRAME + 1))
    assert [label["image_id"] for label in coco["annotations"]] == sorted([*range(1, 11)] * LABELS_PER_FRAME)
    review = json.loads((out / "review.json").read_text())
    assert [entry["file"] for entry in review["unsure"]] == [f"{index}.png" for index in range(10)]
    assert review["set_aside"] == []


def test_broken_off_it_leaves_nothing(tmp_path: Path) -> None:
    def write_and_interrupt() -> None:
        with open_json_stream(tmp_path / "x.json", ("images",)) as lists:
            lists.add("images", {"id": 1})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_interrupt()
    assert list(tmp_path.iterdir()) == []
