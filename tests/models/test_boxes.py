from __future__ import annotations

import numpy as np
import pytest

from edgeloop.models.boxes import (
    clip_boxes,
    cxcywh_to_xyxy,
    iou_matrix,
    nms,
    xywh_to_xyxy,
    xyxy_to_xywh,
)


def crowd(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes in clusters, so that many overlap: xyxy, confidence, class."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, max(count // 8, 1), count)
    center = rng.uniform(0, 300, (count, 2))[cluster] + rng.normal(0, 3, (count, 2))
    size = rng.uniform(15, 30, (count, 2))
    xyxy = np.concatenate((center - size / 2, center + size / 2), axis=1).astype(np.float32)
    return xyxy, rng.permutation(count).astype(np.float32) / count, rng.integers(0, 3, count)


def test_formats() -> None:
    xyxy = np.array([[10, 20, 40, 60]], np.float32)
    assert xyxy_to_xywh(xyxy).tolist() == [[10, 20, 30, 40]]
    assert xywh_to_xyxy(xyxy_to_xywh(xyxy)).tolist() == xyxy.tolist()
    assert cxcywh_to_xyxy(np.array([[25, 40, 30, 40]])).tolist() == xyxy.tolist()


@pytest.mark.parametrize("convert", [xywh_to_xyxy, xyxy_to_xywh, cxcywh_to_xyxy])
def test_formats_of_no_boxes(convert: object) -> None:
    converted = convert(np.empty((0, 4)))  # type: ignore[operator]
    assert converted.shape == (0, 4)
    assert converted.dtype == np.float32


def test_clip() -> None:
    boxes = np.array([[-5, -5, 50, 50], [90, 10, 120, 90], [200, 200, 300, 300]], np.float32)
    assert clip_boxes(boxes, 100, 80).tolist() == [[0, 0, 50, 50], [90, 10, 100, 80], [100, 80, 100, 80]]


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        pytest.param([0, 0, 10, 10], 1.0, id="the same"),
        pytest.param([0, 0, 5, 10], 0.5, id="half of it"),
        pytest.param([5, 0, 15, 10], 1 / 3, id="shifted by half"),
        pytest.param([10, 0, 20, 10], 0.0, id="touching"),
        pytest.param([30, 30, 40, 40], 0.0, id="apart"),
        pytest.param([5, 5, 5, 5], 0.0, id="no area"),
    ],
)
def test_iou(other: list[float], iou: float) -> None:
    one = np.array([[0, 0, 10, 10]], np.float32)
    assert iou_matrix(one, np.array([other], np.float32)) == pytest.approx(np.array([[iou]]))


def test_iou_of_two_points_is_zero() -> None:
    point = np.array([[3, 3, 3, 3]], np.float32)
    assert iou_matrix(point, point).tolist() == [[0]]


def test_iou_shapes() -> None:
    boxes = crowd(0, 5)[0]
    assert iou_matrix(boxes, np.empty((0, 4), np.float32)).shape == (5, 0)
    assert iou_matrix(boxes, boxes[:3]).shape == (5, 3)


@pytest.mark.parametrize("count", [0, 1, 2, 30, 600])
@pytest.mark.parametrize("threshold", [0.3, 0.7])
@pytest.mark.parametrize("by_class", [True, False])
def test_nms_keeps_what_torchvision_keeps(count: int, threshold: float, by_class: bool) -> None:
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    xyxy, confidence, class_id = crowd(count, count)
    kept = nms(xyxy, confidence, class_id if by_class else None, threshold)
    boxes, scores = torch.from_numpy(xyxy), torch.from_numpy(confidence)
    if by_class:
        expected = ops.batched_nms(boxes, scores, torch.from_numpy(class_id), threshold)
    else:
        expected = ops.nms(boxes, scores, threshold)
    assert kept.dtype == np.int64
    assert kept.tolist() == expected.tolist()


def test_nms_of_equal_confidence_keeps_the_first() -> None:
    xyxy = np.tile(np.array([[0, 0, 10, 10]], np.float32), (3, 1))
    assert nms(xyxy, np.full(3, 0.5, np.float32), None, 0.5).tolist() == [0]
