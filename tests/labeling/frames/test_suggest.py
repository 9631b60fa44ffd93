"""Frames that `edgeloop suggest` names, and the folders it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.labeling.frames import suggestion
from edgeloop.labeling.frames.suggestion import select_frames, suggest_frames
from tests.calls import Outcome

LOOKS = 3


def picture(look: int, seed: int) -> NDArray[np.uint8]:
    """A picture that looks like others of its look: blocks, stripes or rings."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:192, :256]
    pattern = [(y // 24 + x // 24) % 2, (x // 6) % 2, np.hypot(y - 96, x - 128) // 10 % 2][look]
    color = np.array([(40, 40, 200), (200, 60, 40), (40, 180, 60)][look])
    noisy = pattern[..., None] * color + rng.normal(30, 8, (192, 256, 3))
    return np.asarray(noisy.clip(0, 255), np.uint8)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames, four of each look: the look is the frame's number modulo three."""
    folder = tmp_path_factory.mktemp("frames")
    for number in range(12):
        cv2.imwrite(str(folder / f"{number}.png"), picture(number % LOOKS, number))
    return folder


def looks(names: tuple[str, ...]) -> list[int]:
    return sorted(int(Path(name).stem) % LOOKS for name in names)


def boxes_on(path: Path, file: str) -> Path:
    content = {
        "images": [{"id": 1, "file_name": file}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 40]}],
        "categories": [{"id": 1, "name": "bolt"}],
    }
    path.write_text(json.dumps(content))
    return path


def test_every_look_is_suggested_once(frames: Path) -> None:
    assert looks(suggest_frames(frames, LOOKS).files) == [0, 1, 2]


def test_boxed_frames_count_as_chosen(frames: Path, tmp_path: Path) -> None:
    found = suggest_frames(frames, 2, exemplars=boxes_on(tmp_path / "boxes.json", "4.png"))
    assert looks(found.files) == [0, 2]
    assert (found.compared, found.boxed) == (12, 1)


def test_boxed_frames_may_be_beside_their_boxes(frames: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "elsewhere.png"), picture(1, 99))
    found = suggest_frames(frames, 2, exemplars=boxes_on(tmp_path / "boxes.json", "elsewhere.png"))
    assert looks(found.files) == [0, 2]
    assert (found.compared, found.boxed) == (13, 1)


def one_hot(rows: list[int]) -> NDArray[np.float32]:
    """One cell a frame; frames of one number look the same."""
    return np.eye(8, dtype=np.float32)[rows][:, None]


@pytest.mark.parametrize(
    ("rows", "count", "sources", "chosen"),
    [
        pytest.param([0, 0, 0, 1, 2, 2], 3, "aaaaaa", (0, 4, 3), id="most frequent first"),
        pytest.param([0, 0, 0, 0, 0, 0, 1, 2, 0], 2, "a" * 9, (0, 6), id="rare ones before repeats"),
        pytest.param([0] * 12, 4, "a" * 12, (0, 2, 4, 6), id="a still film: apart"),
        pytest.param([0] * 6 + [1] * 3 + [0] * 3, 2, "a" * 6 + "b" * 6, (0, 6), id="two sources"),
        pytest.param([3, 1, 2], 3, "aaa", (0, 1, 2), id="all of them"),
    ],
)
def test_selection(rows: list[int], count: int, sources: str, chosen: tuple[int, ...]) -> None:
    assert select_frames(one_hot(rows), count, 0, list(sources)) == chosen


def test_no_more_frames_are_read_than_the_limit(frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggestion, "_MAX_FRAMES", 4)
    assert suggest_frames(frames, 2).compared == 4


def test_names_on_stdout_and_the_rest_on_stderr(edgeloop: Callable[..., Outcome], frames: Path) -> None:
    done = edgeloop("suggest", frames, "--count", 3)
    assert done.code == 0
    assert looks(tuple(done.out.splitlines())) == [0, 1, 2]
    assert "3 of 12 frames suggested" in done.err
    told = json.loads(edgeloop("suggest", frames, "--count", 3, "--json").out)
    assert told["files"] == done.out.splitlines()
    assert (told["compared"], told["boxed"], told["skipped"]) == (12, 0, [])


def test_unreadable_frames_are_skipped_with_one_warning(
    edgeloop: Callable[..., Outcome], tmp_path: Path
) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture(number, number))
    for name in ("cut.png", "empty.jpg"):
        (tmp_path / name).write_bytes(b"\x89PNG"[: 4 * (name == "cut.png")])
    done = edgeloop("suggest", tmp_path, "--count", 3)
    assert (done.code, len(done.out.splitlines())) == (0, 3)
    assert done.err.count("warning:") == 1
    assert "2 frames cannot be read and are skipped: cut.png, empty.jpg" in done.err
    refused = edgeloop("suggest", tmp_path, "--count", 4)
    assert (refused.code, refused.out) == (65, "")
    assert (
        "expected at least 4 frames that can be read and are not boxed, got 3; lower --count" in refused.err
    )


@pytest.mark.parametrize(
    ("folder", "options", "code", "told"),
    [
        pytest.param("nowhere", (), 66, "no such folder", id="no folder"),
        pytest.param("", (), 66, "there is no frame in it", id="no frames"),
        pytest.param("", ("--count", 0), 2, "0 is not in the range", id="count of none"),
        pytest.param("frames", ("--count", 13), 65, "expected at least 13 frames", id="too few frames"),
        pytest.param("frames", ("-e", "nowhere.json"), 66, "cannot be read", id="no exemplars"),
    ],
)
def test_refused(
    edgeloop: Callable[..., Outcome],
    frames: Path,
    tmp_path: Path,
    folder: str,
    options: tuple[object, ...],
    code: int,
    told: str,
) -> None:
    done = edgeloop("suggest", frames if folder == "frames" else tmp_path / folder, *options)
    assert (done.code, done.out) == (code, "")
    assert told in done.err
