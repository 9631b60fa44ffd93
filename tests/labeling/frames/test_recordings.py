"""Film or photos, and the recordings of a film, by the pictures and their times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from edgeloop.edge.frames.folder import FrameEntry, read_frames
from edgeloop.edge.host.opencv import read_image
from edgeloop.labeling.dataset.split import split_frames
from edgeloop.labeling.dataset.statistics import read_stats
from edgeloop.labeling.dataset.write import LabeledFrame, write_dataset
from edgeloop.labeling.frames.frame_look import FrameLook
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.frames.recordings import FrameGroups, group_frames
from edgeloop.labeling.ledger import FrameResult

WIDTH, HEIGHT = 320, 240


def texture(seed: int, width: int = WIDTH) -> np.ndarray:
    """A picture of blobs, unlike that of another seed."""
    small = np.random.default_rng(seed).integers(0, 255, (12, width // 20, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def fixed_camera(seed: int, count: int) -> list[np.ndarray]:
    """Two objects that cross one picture, with noise."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(count):
        frame = texture(seed).astype(np.int16) + rng.integers(-4, 5, (HEIGHT, WIDTH, 1))
        for speed, y in ((11, 60), (17, 150)):
            x = number * speed % WIDTH
            frame[y : y + 50, x : x + 60] = 20
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


def panning_camera(seed: int, count: int) -> list[np.ndarray]:
    wide = texture(seed, WIDTH + 8 * count)
    return [wide[:, 8 * number : 8 * number + WIDTH] for number in range(count)]


def photos(seed: int, count: int) -> list[np.ndarray]:
    return [texture(seed + number) for number in range(count)]


def write(folder: Path, images: list[np.ndarray]) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.jpg"), image)
    return folder


def grouped(folder: Path, images: list[np.ndarray]) -> FrameGroups:
    write(folder, images)
    return group(folder)


def group(folder: Path, footage: Literal["auto", "film", "photos"] = "auto") -> FrameGroups:
    entries = read_frames(folder)
    return group_frames(entries, looks(folder, entries), footage)


def looks(folder: Path, entries: Sequence[FrameEntry]) -> Iterator[FrameLook | None]:
    images = (read_image(folder / entry.file) for entry in entries)
    return (None if image is None else FrameLook.of(image) for image in images)


def sizes(groups: FrameGroups) -> list[int]:
    return [len(group) for group in groups.groups]


def test_fixed_camera_is_one_recording(tmp_path: Path) -> None:
    groups = grouped(tmp_path / "frames", fixed_camera(1, 40))
    assert groups.description == "film: 1 recording"


def test_panning_camera_is_one_recording(tmp_path: Path) -> None:
    groups = grouped(tmp_path / "frames", panning_camera(1, 60))
    assert groups.description == "film: 1 recording"


def test_a_recording_begins_where_the_place_changes(tmp_path: Path) -> None:
    takes = fixed_camera(1, 12), panning_camera(2, 30), fixed_camera(3, 8), panning_camera(4, 20)
    groups = grouped(tmp_path / "frames", [image for take in takes for image in take])
    assert groups.description == "film: 4 recordings"
    assert sizes(groups) == [12, 30, 8, 20]


def test_a_recording_begins_if_a_fixed_camera_was_moved_a_little(tmp_path: Path) -> None:
    moved = [np.roll(image, 12, axis=1) for image in fixed_camera(1, 20)]
    assert sizes(grouped(tmp_path / "frames", fixed_camera(1, 15) + moved)) == [15, 20]


def test_a_flash_and_a_broken_frame_do_not_end_a_recording(tmp_path: Path) -> None:
    images = fixed_camera(1, 30)
    images[12] = np.full_like(images[12], 250)
    folder = write(tmp_path / "frames", images)
    (folder / "20.jpg").write_bytes((folder / "20.jpg").read_bytes()[:900])
    assert sizes(group(folder)) == [30]


def test_unrelated_pictures_are_photos(tmp_path: Path) -> None:
    groups = grouped(tmp_path / "frames", photos(1, 30))
    assert groups.description == "photos: 30 pictures in 30 groups"


def test_near_duplicate_photos_are_grouped_by_way_of_others(tmp_path: Path) -> None:
    """A brighter copy, and a series in which the first and the last have little in common."""
    images = photos(1, 20)
    images.append(np.asarray(cv2.convertScaleAbs(images[3], alpha=0.8, beta=30), np.uint8))
    images += panning_camera(50, 8)
    groups = grouped(tmp_path / "frames", images)
    assert groups.kind == "photos"
    assert [list(group) for group in groups.groups if len(group) > 1] == [[3, 20], [*range(21, 29)]]


def test_the_decision_can_be_overridden(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", photos(1, 12))
    assert group(folder, "film").kind == "film"
    assert group(folder, "photos").kind == "photos"


def test_frames_with_times_are_film_and_times_cut_it(tmp_path: Path) -> None:
    """A restart, an hour without frames, and another source between the frames."""
    write(tmp_path / "frames", photos(1, 12))
    times = [0, 1, 2, 3, 0, 1, 2, 3, 3600, 3601, 3602, 3603]
    entries = [FrameEntry(f"{place}.jpg", "door", place, float(time)) for place, time in enumerate(times)]
    entries[6] = FrameEntry("6.jpg", "yard", 0, 0.0)
    groups = group_frames(entries, looks(tmp_path / "frames", entries))
    assert [list(group) for group in groups.groups] == [[0, 1, 2, 3], [4, 5, 7], [8, 9, 10, 11], [6]]
    assert groups.numbers == [0, 0, 0, 0, 1, 1, 3, 1, 2, 2, 2, 2]


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(fixed_camera(1, 60), id="one recording"),
        pytest.param([image for seed in range(8) for image in fixed_camera(seed, 9)], id="bursts"),
        pytest.param([*photos(1, 20), *photos(5, 12), *photos(40, 8)], id="photos, twelve of them twice"),
    ],
)
def test_a_split_dataset_has_no_leaks(tmp_path: Path, images: list[np.ndarray]) -> None:
    folder = write(tmp_path / "frames", images)
    entries = read_frames(folder)
    groups = group(folder)
    splits = split_frames(entries, groups, val_share=0.2, gap_share=0.05)
    results = [FrameResult(file=entry.file, width=WIDTH, height=HEIGHT) for entry in entries]
    frames = (LabeledFrame(*parts) for parts in zip(entries, splits, results, groups.numbers, strict=True))
    write_dataset(tmp_path / "dataset", ["part"], frames, FolderStore(folder), {})
    found = read_stats(tmp_path / "dataset", within_frames=5, within_bits=4)
    assert found.images["val"] >= 0.1 * len(entries)
    assert found.leaks == []
