"""Scenes and tables of the training benchmark."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from edgeloop.export.data.yolo_dataset import open_dataset
from few_shot_scenes import Scene, choose
from training import DEFAULTS, Result, read_results, speed_table, training_table


def coco(classes: Mapping[int, Collection[int]], images: int = 20) -> dict[str, Any]:
    """COCO file of images 1, 2, ... of 200 x 100 px; `classes` says which each shows, each at its place."""
    return {
        "images": [
            {"id": n, "file_name": f"{n:03}.jpg", "width": 200, "height": 100} for n in range(1, images + 1)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate("abc", start=1)],
        "annotations": [
            {"image_id": image, "category_id": category, "bbox": [category * 40, 20, 20, 10]}
            for image, shown in classes.items()
            for category in shown
        ],
    }


def test_chosen_images_are_spread_evenly() -> None:
    assert choose(coco({image: {1} for image in range(1, 21)})) == [4, 7, 11, 14, 17]


def test_images_without_objects_are_not_chosen() -> None:
    assert choose(coco({image: {1} for image in range(11, 18)})) == [12, 13, 14, 15, 16]


def test_every_class_is_on_a_chosen_image() -> None:
    truth = coco({image: {1} for image in range(1, 21)} | {9: {1, 2}, 2: {3}, 20: {3}})
    chosen = choose(truth)
    shown = {a["category_id"] for a in truth["annotations"] if a["image_id"] in chosen}
    assert (chosen, shown) == ([2, 9, 11, 14, 17], {1, 2, 3})


def test_an_image_that_alone_shows_a_class_is_kept() -> None:
    assert choose(coco({4: {1}, 7: {2}, 11: {1}, 14: {1}, 17: {1}, 20: {3}}), count=2) == [7, 20]


def test_a_dataset_has_the_classes_of_the_training_images(tmp_path: Path) -> None:
    truth = coco({1: {1, 3}, 2: {2}, 3: {3}}, images=3)
    (tmp_path / "images").mkdir()
    for image in truth["images"]:
        (tmp_path / "images" / image["file_name"]).write_bytes(b"not read")
    truth["annotations"][0]["bbox"] = [-20, 80, 40, 40]  # reaches over two borders
    scene = Scene("made up", tmp_path / "images", truth, train=[1], scored=[2, 3])

    data = open_dataset(scene.write_dataset(tmp_path / "dataset", val=scene.scored))

    assert data.names == ("a", "c")
    assert [image.path.name for image in data.val] == ["002.jpg", "003.jpg"]
    assert [image.class_id.tolist() for image in (*data.train, *data.val)] == [[0, 1], [], [1]]
    assert data.train[0].xywh[0].tolist() == pytest.approx([0.05, 0.9, 0.1, 0.2])
    assert {image["id"] for image in scene.expected["images"]} == {2, 3}


def write_result(out: Path, run: str, map50_95: float, map50: float = 0.8) -> None:
    folder = out / run
    folder.mkdir(parents=True)
    result = Result(map50, map50_95, seconds=60.0, images_per_second=12.5, imgsz=416)
    (folder / "result.json").write_text(json.dumps(asdict(result) | {"more": 1}))


def test_a_table_has_seeds_side_by_side_and_medians_last(tmp_path: Path) -> None:
    for run, score in {
        "cows/edgeloop-0": 0.5,
        "cows/edgeloop-1": 0.6,
        "cows/ultralytics-0": 0.4,
        "cows/ultralytics-1": 0.6,
        "fish/edgeloop-1": 0.3,
        "fish/ultralytics-0": 0.1,
        "fish/ultralytics-1": 0.2,
    }.items():
        write_result(tmp_path, f"few-shot/{run}", score)

    (task, runs), *others = read_results(tmp_path).items()
    table = training_table(task, runs)

    end = ("0.800", "1.000", "12.5", "60")
    without = ("0.800", "", "12.5", "60")
    assert others == []
    assert table.header[:7] == ("few-shot", "px", "trainer", "seed 0", "seed 1", "mAP50-95", "ratio")
    assert table.groups == [
        [
            ("cows", "416", "edgeloop", "0.500", "0.600", "0.550", "1.100", *end),
            ("cows", "416", "ultralytics", "0.400", "0.600", "0.500", "", *without),
        ],
        [
            ("fish", "416", "edgeloop", "", "0.300", "0.300", "1.500", *end),
            ("fish", "416", "ultralytics", "0.100", "0.200", "0.150", "", *without),
        ],
        [
            ("median of 2", "", "edgeloop", "0.500", "0.450", "0.425", "1.300", *end),
            ("median of 2", "", "ultralytics", "0.250", "0.400", "0.325", "", *without),
        ],
    ]


def test_speeds_are_compared_round_by_round() -> None:
    rates = {"edgeloop": [20.0, 30.0, 10.0], "ultralytics": [15.0, 15.0, 5.0], DEFAULTS: [10.0, 10.0, 5.0]}
    assert speed_table(rates).groups == [
        [
            ("edgeloop", "20.0", "30.0", "10.0", "20.0", "2.00"),
            ("ultralytics", "15.0", "15.0", "5.0", "15.0", "1.50"),
            (DEFAULTS, "10.0", "10.0", "5.0", "10.0", "1.00"),
        ]
    ]
