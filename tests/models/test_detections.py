from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np
import pytest

from edgeloop.models.detections import Detections
from edgeloop.models.errors import UnavailableError
from tests.masked import masked


def three(tracked: bool = False) -> Detections:
    return Detections(
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.array([2, 0, 1], np.int64),
        np.array([7, 8, 9], np.int64) if tracked else None,
    )


def test_empty_has_no_rows_and_the_right_types() -> None:
    empty = Detections.empty()
    assert len(empty) == 0
    assert empty.xyxy.shape == (0, 4)
    assert (empty.xyxy.dtype, empty.confidence.dtype, empty.class_id.dtype) == ("float32", "float32", "int64")
    assert empty.tracker_id is None


@pytest.mark.parametrize(
    ("index", "classes"),
    [
        pytest.param(1, [0], id="one row"),
        pytest.param(-1, [1], id="the last row"),
        pytest.param(np.int64(1), [0], id="a row number of numpy's"),
        pytest.param(slice(0, 2), [2, 0], id="a slice"),
        pytest.param([2, 0], [1, 2], id="row numbers"),
        pytest.param(np.array([True, False, True]), [2, 1], id="a mask"),
        pytest.param(np.array([], np.int64), [], id="nothing"),
    ],
)
@pytest.mark.parametrize("tracked", [False, True])
def test_indexing_selects_rows_of_every_field(index: object, classes: list[int], tracked: bool) -> None:
    chosen = three(tracked)[index]  # type: ignore[index]
    assert chosen.class_id.tolist() == classes
    assert len(chosen.xyxy) == len(chosen.confidence) == len(classes)
    assert (chosen.tracker_id is not None) == tracked


def test_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        three().confidence = np.zeros(3, np.float32)  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"xyxy": np.zeros((3, 4))}, id="float64 boxes"),
        pytest.param({"xyxy": np.zeros((3, 5), np.float32)}, id="five columns"),
        pytest.param({"confidence": np.zeros(2, np.float32)}, id="too few confidences"),
        pytest.param({"class_id": np.zeros(3, np.int32)}, id="int32 classes"),
        pytest.param({"tracker_id": np.zeros(4, np.int64)}, id="too many tracks"),
    ],
)
def test_refuses_arrays_that_do_not_fit(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"Detections.{next(iter(change))}: expected"):
        dataclasses.replace(three(), **change)


@pytest.mark.parametrize(
    ("class_ids", "kept"),
    [
        pytest.param((0,), [0], id="one class"),
        pytest.param((1, 2), [2, 1], id="two, in the order of the rows"),
        pytest.param((9,), [], id="a class that was not found"),
        pytest.param((), [], id="no class"),
    ],
)
def test_of_class(class_ids: tuple[int, ...], kept: list[int]) -> None:
    assert three().of_class(*class_ids).class_id.tolist() == kept


def test_repr_is_one_short_line() -> None:
    assert repr(three()) == "Detections(3: class_id [0 1 2], confidence 0.90..0.70)"
    assert repr(three(tracked=True)).endswith(", tracker_id [7 8 9])")
    assert repr(Detections.empty()) == "Detections(0)"
    many = three()[np.zeros(5000, np.int64)]
    many = dataclasses.replace(many, class_id=np.arange(5000), tracker_id=np.arange(5000) + 10**9)
    assert "class_id [0 1 2 3 4 5 6 7 ...], " in repr(many)
    assert len(repr(many)) < 200


@pytest.mark.parametrize("tracked", [False, True])
def test_to_supervision_keeps_every_field(tracked: bool) -> None:
    supervision = pytest.importorskip("supervision")
    found = three(tracked)
    converted = found.to_supervision()
    assert isinstance(converted, supervision.Detections)
    for name in ("xyxy", "confidence", "class_id", "tracker_id"):
        assert getattr(converted, name) is getattr(found, name)
    assert converted.mask is None
    assert len(Detections.empty().to_supervision()) == 0


def test_to_supervision_draws_masks_of_the_whole_image() -> None:
    pytest.importorskip("supervision")
    bars = [np.zeros((20, 30), np.bool_) for _ in range(2)]
    bars[0][3:5, 4:20] = bars[1][10:, 25:] = True
    converted = masked(*bars).to_supervision()
    np.testing.assert_array_equal(converted.mask, bars)
    np.testing.assert_array_equal(converted[1].mask[0], bars[1])
    assert converted.area.tolist() == [32, 50]


def test_to_supervision_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UnavailableError, match=r"pip install 'edgeloop\[track\]'"):
        three().to_supervision()
