from __future__ import annotations

import pytest
import torch

from edgeloop.export.learn.assign import Targets, assign, paired_iou
from edgeloop.export.network.compact_detector import grid_points

_SIDE = 64
_POINTS, _STRIDES = grid_points([(8, 8), (4, 4), (2, 2)], torch.device("cpu"))
_CENTERS = _POINTS * _STRIDES


def _targets(*boxes: tuple[float, float, float, float], images: tuple[int, ...] | None = None) -> Targets:
    return Targets(
        torch.tensor((0,) * len(boxes) if images is None else images, dtype=torch.long),
        torch.zeros(len(boxes), dtype=torch.long),
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
    )


def _uniform(images: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes of one stride around every cell, and the same score everywhere."""
    boxes = torch.cat((_CENTERS - _STRIDES, _CENTERS + _STRIDES), dim=1)
    return boxes.expand(images, -1, -1), torch.full((images, len(_CENTERS), 1), 0.5)


def test_cells_of_an_object_are_inside_it() -> None:
    found = assign(_targets((8, 8, 40, 40)), *_uniform(), _CENTERS, _STRIDES)
    centers = _CENTERS[found.cell]
    assert 0 < len(centers) <= 10
    assert ((centers > 8) & (centers < 40)).all()


@pytest.mark.parametrize("place", [(17.0, 17.0), (30.0, 5.5), (0.5, 0.5), (61.0, 61.0)])
def test_an_object_smaller_than_a_cell_gets_one(place: tuple[float, float]) -> None:
    x, y = place
    found = assign(_targets((x, y, x + 2, y + 2)), *_uniform(), _CENTERS, _STRIDES)
    assert len(found.cell)


def test_a_cell_learns_the_object_that_it_overlaps_most() -> None:
    boxes, scores = _uniform()
    target = _targets((8, 8, 40, 40), (10, 10, 38, 38))
    found = assign(target, boxes, scores, _CENTERS, _STRIDES)
    assert len(found.cell.unique()) == len(found.cell)
    chosen = paired_iou(boxes[0, found.cell], target.xyxy[found.target])
    other = paired_iou(boxes[0, found.cell], target.xyxy[1 - found.target])
    assert (chosen >= other).all()


def test_the_best_cell_of_an_object_learns_its_overlap() -> None:
    boxes, scores = _uniform(images=2)
    target = _targets((8, 8, 40, 40), (20, 20, 60, 44), images=(0, 1))
    found = assign(target, boxes, scores, _CENTERS, _STRIDES)
    for number in (0, 1):
        of_object = found.target == number
        iou = paired_iou(boxes[number, found.cell[of_object]], target.xyxy[found.target[of_object]])
        assert (found.image[of_object] == number).all()
        assert found.score[of_object].max() == pytest.approx(float(iou.max()), abs=1e-5)


def test_a_batch_without_objects_assigns_nothing() -> None:
    found = assign(_targets(images=()), *_uniform(), _CENTERS, _STRIDES)
    assert not len(found.cell)
