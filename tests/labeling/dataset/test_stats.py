"""`edgeloop stats`: counts as they are, and validation frames that were seen in training are found."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgeloop.labeling.commands.stats import stats
from edgeloop.labeling.dataset.statistics import read_stats
from edgeloop.models.errors import DataError, NoInputError


def picture(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (320, 240), interpolation=cv2.INTER_CUBIC), np.uint8)


def write(folder: Path, frames: list[tuple[str, int, int]]) -> Path:
    """A dataset of frames (split, frame index, seed of the picture), one box on each but the first."""
    images, annotations = [], []
    for number, (split, index, seed) in enumerate(frames, start=1):
        name = f"images/{split}/{index:06d}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), picture(seed))
        place = {"source": "belt.mp4", "frame_index": index, "split": split}
        images.append({"id": number, "file_name": name, "width": 320, "height": 240, **place})
        if number > 1:
            box = {"image_id": number, "category_id": 1, "bbox": [10, 10, 16, 25]}
            annotations.append({"id": number, **box, "score": 0.5, "prompt": "similar"})
    coco = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "part"}]}
    (folder / "instances.json").write_text(json.dumps(coco))
    return folder


def test_counts(tmp_path: Path) -> None:
    found = read_stats(
        write(tmp_path, [("train", 0, 1), ("train", 9, 2), ("val", 100, 3)]), within_frames=5, within_bits=4
    )
    assert found.images == {"train": 2, "val": 1}
    assert found.empty == {"train": 1}
    assert found.labels == {"part": {"train": 1, "val": 1}}
    assert found.sides_px == {"part": (20.0, 20.0, 20.0)}
    assert found.prompts == {"similar": 2}
    assert found.leaks == []


def test_neighbors_and_lookalikes_leak(tmp_path: Path) -> None:
    frames = [("train", 0, 1), ("train", 50, 2), ("val", 54, 3), ("val", 100, 2), ("val", 200, 4)]
    found = read_stats(write(tmp_path, frames), within_frames=5, within_bits=4)
    beside, lookalike = found.leaks
    assert (beside.file, beside.like, beside.frames_apart) == (
        "images/val/000054.png",
        "images/train/000050.png",
        4,
    )
    assert (lookalike.file, lookalike.like, lookalike.bits_apart) == (
        "images/val/000100.png",
        "images/train/000050.png",
        0,
    )
    assert found.leaked_share == pytest.approx(2 / 3)


def test_too_many_leaks_are_refused_in_one_line(tmp_path: Path) -> None:
    dataset = write(tmp_path, [("train", 0, 1), ("val", 3, 2), ("val", 100, 3)])
    result = CliRunner().invoke(stats, [str(dataset), "--json"])
    assert isinstance(result.exception, DataError)
    assert "1 of 2 validation frames" in str(result.exception)
    assert "--gap-share" in str(result.exception)
    assert json.loads(result.stdout)["leaked_share"] == 0.5
    allowed = CliRunner().invoke(stats, [str(dataset), "--limit", "0.5"], catch_exceptions=False)
    assert allowed.exit_code == 0


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(None, NoInputError, id="no file"),
        pytest.param("{", DataError, id="not JSON"),
        pytest.param(
            '{"images": [{"id": 1}], "annotations": [], "categories": []}', DataError, id="not ours"
        ),
        pytest.param("[1]", DataError, id="no object"),
        pytest.param(
            '{"images": [], "annotations": [{"id": 1}], "categories": []}', DataError, id="half a label"
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str | None, error: type[Exception]) -> None:
    if content is not None:
        (tmp_path / "instances.json").write_text(content)
    with pytest.raises(error, match=r"instances\.json"):
        read_stats(tmp_path, within_frames=5, within_bits=4)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    dataset = write(tmp_path, [("train", 0, 1), ("val", 100, 2)])
    (dataset / "images/val/000100.png").unlink()
    with pytest.raises(NoInputError, match=r"000100\.png"):
        read_stats(dataset, within_frames=5, within_bits=4)
