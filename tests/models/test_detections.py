from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgeloop.models.detections import Detections


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
def test_refuses_arrays_that_do_not_fit(change: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=f"Detections.{next(iter(change))}: expected"):
        dataclasses.replace(three(), **change)
