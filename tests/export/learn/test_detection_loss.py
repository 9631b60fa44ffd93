from __future__ import annotations

import torch

from edgeloop.export.learn.assign import Targets
from edgeloop.export.learn.detection_loss import detection_loss
from edgeloop.export.network.compact_detector import Predictions, grid_points

_SHAPES = [(8, 8), (4, 4), (2, 2)]
_POINTS, _STRIDES = grid_points(_SHAPES, torch.device("cpu"))
_BOX = torch.tensor([8.0, 8.0, 40.0, 48.0])
_TARGETS = Targets(torch.tensor([0]), torch.tensor([1]), _BOX[None])


def _perfect() -> Predictions:
    """The box from every cell, and a high score of its class in the cells inside it."""
    edges = _BOX / _STRIDES
    distances = torch.cat((_POINTS - edges[:, :2], edges[:, 2:] - _POINTS), dim=1)
    inside = (distances > 0).all(dim=1)
    logits = torch.full((len(_POINTS), 2), -12.0)
    logits[inside, 1] = 12.0
    return Predictions(distances[None], logits[None])


def test_a_perfect_prediction_has_no_box_loss() -> None:
    losses = detection_loss(_perfect(), _TARGETS, _SHAPES)
    assert losses.box < 1e-4
    assert losses.edge < 1e-4


def test_a_shifted_box_costs_more_the_farther_it_is() -> None:
    costs = []
    for shift in (0.0, 0.3, 1.0):
        distances, logits, *_ = _perfect()
        moved = distances + shift * torch.tensor([-1.0, 0.0, 1.0, 0.0])
        losses = detection_loss(Predictions(moved, logits), _TARGETS, _SHAPES)
        costs.append(float(losses.box + losses.edge))
    assert costs[0] < costs[1] < costs[2]


def test_scores_are_learned_where_the_object_is_and_unlearned_elsewhere() -> None:
    distances, *_ = _perfect()
    logits = torch.zeros(1, len(_POINTS), 2, requires_grad=True)
    detection_loss(Predictions(distances, logits), _TARGETS, _SHAPES).score.backward()
    assert logits.grad is not None
    assert (logits.grad[0, :, 1] < 0).sum() == 10  # a cell learns by a falling loss
    assert (logits.grad[0, :, 0] > 0).all()


def test_classes_that_are_not_labeled_learn_nothing() -> None:
    distances, *_ = _perfect()
    logits = torch.zeros(1, len(_POINTS), 2, requires_grad=True)
    labeled = torch.tensor([[False, True]])
    detection_loss(Predictions(distances, logits), _TARGETS, _SHAPES, labeled).score.backward()
    assert logits.grad is not None
    assert not logits.grad[0, :, 0].any()
    assert logits.grad[0, :, 1].any()


def test_a_batch_without_objects_has_a_finite_loss() -> None:
    empty = Targets(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), torch.zeros(0, 4))
    losses = detection_loss(_perfect(), empty, _SHAPES)
    assert losses.box == 0
    assert torch.isfinite(losses.score)
