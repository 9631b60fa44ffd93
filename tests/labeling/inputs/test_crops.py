"""Exemplars as folders of crops: how they are read, and labels of what moves, named by them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.labeling.inputs.crops import holds_crops, read_crops
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.errors import DataError
from tests.calls import Outcome

SIZE = 480, 240
SIDE = 56
COUNT = 24
KINDS = ("ball", "crate", "_ignore")


def draw(image: NDArray[np.uint8], kind: str, x: int, y: int) -> None:
    """A red disc, a blue square or a yellow triangle, its box at x, y."""
    if kind == "ball":
        cv2.circle(image, (x + SIDE // 2, y + SIDE // 2), SIDE // 2, (30, 30, 230), -1, cv2.LINE_AA)
    elif kind == "crate":
        cv2.rectangle(image, (x, y), (x + SIDE - 1, y + SIDE - 1), (230, 60, 30), -1)
    else:
        corners = np.array([[x, y + SIDE], [x + SIDE, y + SIDE], [x + SIDE // 2, y]])
        cv2.fillPoly(image, [corners], (30, 220, 230), cv2.LINE_AA)


def places(index: int) -> list[tuple[str, int, int]]:
    """One thing of each kind, each in a row of its own, all at other places in each frame."""
    return [
        (kind, (37 * index * (row + 1)) % (SIZE[0] - SIDE), 8 + 78 * row) for row, kind in enumerate(KINDS)
    ]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops") / "frames"
    folder.mkdir()
    noise = np.random.default_rng(2).integers(90, 140, (30, 60, 3), np.uint8)
    wall = cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
    for index in range(COUNT):
        image = np.asarray(wall.copy(), np.uint8)
        for kind, x, y in places(index):
            draw(image, kind, x, y)
        cv2.imwrite(str(folder / f"{index:03d}.png"), image)
    return folder


@pytest.fixture
def crops(frames: Path, tmp_path: Path) -> Path:
    """What the first five frames show, cut out."""
    folder = tmp_path / "exemplars"
    for index in range(5):
        image = cv2.imread(str(frames / f"{index:03d}.png"))
        for kind, x, y in places(index):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / kind / f"{index}.png"), image[y : y + SIDE, x : x + SIDE])
    return folder


def test_folders_are_classes(crops: Path) -> None:
    (crops / "empty").mkdir()
    (crops / "ball" / "notes.txt").write_text("no image")
    shutil.copytree(crops / "ball", crops / ".ipynb_checkpoints")
    assert holds_crops(crops)
    exemplars = read_crops(crops)
    assert exemplars.names == ("ball", "crate")
    assert exemplars.frames == ()
    assert sorted(crop.class_id for crop in exemplars.crops) == [-1] * 5 + [0] * 5 + [1] * 5
    assert all(crop.image().shape == (SIDE, SIDE, 3) for crop in exemplars.crops)


def test_other_folders_are_none(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("ball\n")
    assert not holds_crops(tmp_path)
    assert not holds_crops(tmp_path / "classes.txt")


def test_bad_crops_are_refused(crops: Path) -> None:
    broken = crops / "crate" / "1.png"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"crate/1\.png: not an image that can be read"):
        read_crops(crops)
    for kind in ("ball", "crate"):
        (crops / kind).rename(crops.parent / kind)
    with pytest.raises(DataError, match="no crop of a class to label"):
        read_crops(crops)


@pytest.mark.slow
def test_what_moves_is_named_by_crops(
    frames: Path, crops: Path, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    done = edgeloop("label", frames, "-e", crops, "-o", tmp_path / "out", "--gap-share", 0)
    assert done.code == 0, done.err
    coco = json.loads((tmp_path / "out" / "instances.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert list(names.values()) == ["ball", "crate"]
    found = 0
    for image in coco["images"]:
        own = [a for a in coco["annotations"] if a["image_id"] == image["id"]]
        xyxy = np.array([[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in own)], np.float32)
        for kind, x, y in places(image["frame_index"])[:2]:
            box = np.array([[x, y, x + SIDE, y + SIDE]], np.float32)
            hits = iou_matrix(box, xyxy.reshape(-1, 4))[0] >= 0.5
            found += any(hit and names[a["category_id"]] == kind for hit, a in zip(hits, own, strict=True))
    assert found >= 0.8 * 2 * COUNT
    assert len(coco["annotations"]) <= 1.2 * 2 * COUNT, "what is in _ignore is not labeled"
