"""`edgeloop stats`: counts as they are, and validation frames that were seen in training are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgeloop.labeling.commands.stats import stats
from edgeloop.labeling.dataset.statistics import read_stats
from edgeloop.labeling.workers.workers import Workers
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


def yolo(folder: Path, *, val: int = 2) -> Path:
    """A dataset of three training images, one of them without objects, and others for validation."""
    for split, seeds in (("train", range(3)), ("val", range(3, 3 + val))):
        for seed in seeds:
            for place in ("images", "labels"):
                (folder / place / split).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / "images" / split / f"{seed}.png"), picture(seed))
            if seed:
                (folder / "labels" / split / f"{seed}.txt").write_text("1 .5 .5 .1 .1\n0 .2 .2 .05 .1\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [bolt, nut, gear]\n")
    return folder


def run(*arguments: object) -> tuple[dict[str, Any], BaseException | None]:
    result = CliRunner().invoke(stats, [*map(str, arguments), "--json"])
    return json.loads(result.stdout), result.exception


def test_a_dataset_of_another_tool(tmp_path: Path) -> None:
    cv2.imwrite(str(yolo(tmp_path) / "images" / "val" / "4.png"), picture(1))
    for dataset in (tmp_path, tmp_path / "data.yaml"):
        found, refused = run(dataset)
        assert refused is None
        assert found["kind"] == "dataset"
        assert (found["images"], found["empty"]) == ({"train": 3, "val": 2}, {"train": 1})
        assert found["labels"]["nut"] == {"train": 2, "val": 2}
        assert found["sides_px"]["bolt"] == [19.6, 19.6, 19.6]
        assert found["image_sizes"] == {"320x240": 5}
        assert found["leaked_share"] == 0.5
        assert {kind: p["first"] for kind, p in found["problems"].items()} == {"class_without_label": "gear"}
    found, refused = run(tmp_path, "--limit", 0)
    assert "1 of 2 validation frames" in str(refused)


def test_all_problems_are_counted_before_the_first_is_refused(tmp_path: Path) -> None:
    labels = yolo(tmp_path) / "labels" / "train"
    (labels / "1.txt").write_text("0 .5 .5 .1 .1\n0 .5 .5 .1 .1\n7 .5 .5 .1 .1\n7 .1 .1 .1 .1\nbolt\n")
    (labels / "2.txt").write_bytes("0 .5 .5 .1 .1\n".encode("utf-16"))
    (tmp_path / "images" / "train" / "0.png").write_bytes(b"\x89PNG half")
    found, refused = run(tmp_path)
    told = {kind: (problem["count"], problem["refused"]) for kind, problem in found["problems"].items()}
    assert told == {
        "duplicate": (1, False),
        "unknown_class": (2, True),
        "malformed_line": (1, True),
        "encoding": (1, True),
        "unreadable_image": (1, True),
        "class_without_label": (1, False),
    }
    assert isinstance(refused, DataError)
    assert "1.txt:3: class 7 is out of range" in str(refused)
    assert "(and 4 more of this or other kinds)" in str(refused)


def test_exemplars(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames" / "a.png"), picture(1))
    label = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 16, 25]}
    coco = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [label, label, label | {"bbox": [900, 10, 16, 25]}, label | {"category_id": 3}],
        "categories": [{"id": 1, "name": "bolt"}],
    }
    (tmp_path / "e.json").write_text(json.dumps(coco))
    found, refused = run(tmp_path / "e.json", "--images", tmp_path / "frames")
    assert found["kind"] == "exemplars"
    assert (found["images"], found["labels"]) == ({"exemplars": 1}, {"bolt": {"exemplars": 1}})
    assert {kind for kind, problem in found["problems"].items() if problem["refused"]} == {
        "unknown_class",
        "box_outside",
        "missing_image",
    }
    assert isinstance(refused, DataError)
    (tmp_path / "frames" / "classes.txt").write_text("bolt\n")
    (tmp_path / "frames" / "a.txt").write_text("0 .5 .5 .1 .1\n")
    found, refused = run(tmp_path / "frames")
    assert refused is None
    assert (found["kind"], found["labels"]) == ("exemplars", {"bolt": {"exemplars": 1}})


def test_crops(tmp_path: Path) -> None:
    for name in ("bolt", "_ignore"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), picture(1))
    found, refused = run(tmp_path)
    assert refused is None
    assert (found["kind"], found["image_sizes"]) == ("crops", {"320x240": 2})
    assert found["labels"] == {"bolt": {"exemplars": 1}, "_ignore": {"exemplars": 1}}
    (tmp_path / "bolt" / "2.png").write_bytes(b"\x89PNG half")
    found, refused = run(tmp_path)
    assert isinstance(refused, DataError)
    assert found["images"] == {"exemplars": 2}
    assert found["problems"]["unreadable_image"]["count"] == 1


@pytest.mark.parametrize("name", ["classes.txt", "annotations/x.json"])
def test_settings_beside_exemplars_are_no_dataset(tmp_path: Path, name: str) -> None:
    (tmp_path / "settings.yaml").write_text("epochs: 3\n")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    cv2.imwrite(str(tmp_path / "a.png"), picture(1))
    (tmp_path / "a.txt").write_text("0 .5 .5 .1 .1\n")
    coco = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [10, 10, 16, 25]}],
        "categories": [{"id": 1, "name": "bolt"}],
    }
    (tmp_path / name).write_text("bolt\n" if name == "classes.txt" else json.dumps(coco))
    found, refused = run(tmp_path)
    assert refused is None
    assert (found["kind"], found["labels"]) == ("exemplars", {"bolt": {"exemplars": 1}})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["labeled", "dataset"])
def test_workers_find_the_same_in_the_same_order(tmp_path: Path, kind: str) -> None:
    """Shards of several workers end in any order."""
    if kind == "labeled":
        frames = [("train", 20 * n, n) for n in range(12)] + [("val", 1000 + 20 * n, n) for n in range(8)]
        dataset = write(tmp_path, [*frames, ("val", 222, 50)])
    else:
        dataset = yolo(tmp_path, val=20)
        for name in ("7", "3", "15"):
            (dataset / "images" / "val" / f"{name}.png").write_bytes(b"\x89PNG half")
    alone, refused = run(dataset, "--limit", 1)
    shared, refused_too = run(dataset, "--limit", 1, "--workers", 3)
    assert shared == alone
    assert str(refused_too) == str(refused)
    assert ("15.png" in str(refused)) == (kind == "dataset")  # the first by name
    assert len(alone["leaks"]) == (9 if kind == "labeled" else 0)


@pytest.mark.slow
def test_the_first_image_that_is_wrong_is_named_however_many_workers(tmp_path: Path) -> None:
    dataset = write(tmp_path, [*(("train", 20 * n, n) for n in range(12)), ("val", 1000, 99)])
    for name in ("000160", "000040", "000200"):
        (dataset / f"images/train/{name}.png").write_bytes(b"\x89PNG half")
    (dataset / "images/train/000060.png").unlink()
    for workers in (None, 1, 3):
        with pytest.raises(DataError, match=r"000040\.png: not an image"):
            read_stats(dataset, within_frames=5, within_bits=4, workers=Workers(workers))
