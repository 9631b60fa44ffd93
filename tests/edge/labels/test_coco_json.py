"""Objects of COCO json: boxes, polygons and run lengths."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from edgeloop.edge.labels.coco_json import is_crowd, object_box, parse_coco
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.models.errors import DataError, NoInputError

SQUARE = [[10.0, 5, 30, 5, 30, 25, 10, 25]]


def compressed(mask: np.ndarray) -> dict[str, Any]:
    encoded = rle.encode(np.asfortranarray(mask))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def runs(mask: np.ndarray) -> dict[str, Any]:
    flat = np.concatenate(([0], mask.flatten(order="F"), [2]))
    changes = np.flatnonzero(np.diff(flat.astype(int)))
    counts = np.diff(np.concatenate(([0], changes))).tolist()
    return {"size": [*mask.shape], "counts": counts}


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 0.3))
def test_box_of_run_lengths(height: int, width: int, seed: int, share: float) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    expected = (0.0, 0.0, 0.0, 0.0)
    if len(rows):
        left, top = int(columns[0]), int(rows[0])
        expected = (left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)
    assert object_box(None, compressed(mask)) == expected
    assert object_box([], runs(mask)) == expected


def test_box_of_polygons() -> None:
    assert object_box(None, SQUARE) == (10, 5, 20, 20)
    assert object_box(None, SQUARE[0]) == (10, 5, 20, 20)
    assert object_box(None, [*SQUARE, [40, 0, 50, 0, 50, 9]]) == (10, 0, 40, 25)
    assert object_box([1, 2, 3, 4], SQUARE) == (1, 2, 3, 4)
    assert object_box([0, 0, 0, 0], SQUARE) == (10, 5, 20, 20)
    assert object_box([7, 8, 0, 4], [[]]) == (7, 8, 0, 4)


@pytest.mark.parametrize(
    "segmentation",
    [
        pytest.param(None, id="none"),
        pytest.param([], id="empty"),
        pytest.param("text", id="text"),
        pytest.param([["a", "b"]], id="letters"),
        pytest.param([[1, 2, 3]], id="odd"),
        pytest.param([[1, 2, float("nan"), 3]], id="not a number"),
        pytest.param({}, id="no size"),
        pytest.param({"size": [4, 4], "counts": [15]}, id="too short"),
        pytest.param({"size": [4, 4], "counts": [-16, 32]}, id="negative"),
        pytest.param({"size": [10**30, 4], "counts": [1]}, id="absurd"),
        pytest.param({"size": [4, 4], "counts": [10**30]}, id="long run"),
        pytest.param({"size": [4, 4], "counts": "ooooooooooooooooooo"}, id="endless"),
        pytest.param({"size": [4, 4], "counts": "é"}, id="other letters"),
    ],
)
def test_no_box(segmentation: object) -> None:
    with pytest.raises(ValueError, match=r"^(segmentation|bbox): ") as refused:
        object_box(None, segmentation)
    assert "\n" not in str(refused.value)


def test_one_mask_is_no_crowd() -> None:
    one = np.zeros((40, 60), np.uint8)
    one[5:25, 10:30] = 1
    two = one.copy()
    two[5:25, 40:50] = 1
    specks = one.copy()
    specks[39, 59] = 1
    problems = LabelProblems()
    assert not is_crowd(0, runs(two), "a", problems)
    assert not is_crowd(None, None, "a", problems)
    assert not problems.by_kind
    assert [is_crowd(1, runs(mask), "a", problems) for mask in (one, specks, two)] == [False, False, True]
    assert not is_crowd(1, compressed(one), "a", problems)
    assert not is_crowd(True, SQUARE, "a", problems)
    assert is_crowd(1, None, "a", problems)
    assert is_crowd(1, SQUARE * 2, "a", problems)
    assert problems.by_kind["crowd_with_one_mask"].count == 4


def test_null_is_absent_and_numbers_may_be_text(tmp_path: Path) -> None:
    image = {"id": "7", "file_name": "a.jpg", "width": None, "height": None, "license": None}
    label = {"id": None, "image_id": 7, "category_id": 1.0, "bbox": None, "iscrowd": None, "score": None}
    coco = {"images": [image], "annotations": [{**label, "segmentation": SQUARE}]}
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({**coco, "categories": [{"id": 1, "name": 5}]}).encode())
    read = parse_coco(path)
    assert (read.images[0].id, read.images[0].width, read.categories[0].name) == ("7", 0, "5")
    assert (read.annotations[0].image_id, read.annotations[0].category_id) == ("7", "1")
    with pytest.raises(NoInputError, match="cannot be read"):
        parse_coco(tmp_path / "b.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda own: st.lists(own, max_size=5) | st.dictionaries(st.sampled_from(["size", "counts", "x"]), own),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(VALUES, VALUES)
def test_any_segmentation_is_read_or_refused(segmentation: object, crowd: object) -> None:
    with suppress(ValueError):
        assert np.isfinite(object_box(None, segmentation)).all()
    is_crowd(crowd, segmentation, "a", LabelProblems())


FIELDS = st.sampled_from(["id", "image_id", "category_id", "bbox", "file_name", "name", "iscrowd", "width"])
ENTRIES = st.lists(st.dictionaries(FIELDS, VALUES, max_size=6) | VALUES, max_size=3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.dictionaries(st.sampled_from(["images", "annotations", "categories"]), ENTRIES), st.binary(max_size=4)
)
def test_any_json_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any], noise: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    for data in (json.dumps(content).encode(), noise):
        path.write_bytes(data)
        with suppress(DataError):
            parse_coco(path)
