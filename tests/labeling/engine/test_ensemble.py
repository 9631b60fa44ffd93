"""The ensemble's graph against its members, and its view of an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgeloop.edge.engines.session import Session
from edgeloop.edge.synth import open_scene
from edgeloop.export.network.compact_detector import CompactDetector
from edgeloop.export.network.start_detector import start_detector
from edgeloop.labeling.engine.ensemble import Ensemble, write_ensemble

CLASSES = 2


@pytest.fixture(scope="module")
def members() -> list[CompactDetector]:
    return [start_detector(CLASSES, None, seed=seed)[0].eval() for seed in range(2)]


@pytest.fixture(scope="module")
def graph(members: list[CompactDetector], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ensemble") / "ensemble.onnx"
    write_ensemble(members, path)
    return path


@pytest.mark.parametrize("size", [(64, 96), (128, 64)])
def test_graph_gives_what_each_member_gives(
    members: list[CompactDetector], graph: Path, size: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).random((1, 3, *size), np.float32)
    (cells,) = Session(graph, provider="cpu").run(image)
    assert cells.shape == (2, 4 + CLASSES, size[0] * size[1] // 64 * 21 // 16)
    for own, member in zip(cells, members, strict=True):
        with torch.inference_mode():
            classic = member(torch.from_numpy(image))[0].numpy()
        np.testing.assert_allclose(own[4:], classic[4:], atol=1e-4)
        stride = np.repeat([8, 16, 32], [size[0] * size[1] // side**2 for side in (8, 16, 32)])
        np.testing.assert_allclose((own[0] + own[2]) * stride, classic[2], rtol=1e-3, atol=1e-2)


def test_boxes_are_inside_the_image_and_sorted(graph: Path) -> None:
    image = open_scene("conveyor", seed=3, size=(240, 180)).render(0)
    found = Ensemble(graph, 256).detect(image)
    assert len(found)
    assert (np.diff(found.confidence) <= 0).all()
    assert (found.xyxy >= 0).all()
    assert (found.xyxy <= (240, 180, 240, 180)).all()
    assert (found.xyxy[:, 2:] - found.xyxy[:, :2] > 0).all()


def test_one_member_alone_finds_something_else(graph: Path) -> None:
    image = open_scene("conveyor", seed=3, size=(240, 180)).render(0)
    ensemble = Ensemble(graph, 256)
    first, second = (ensemble.detect(image, member) for member in range(2))
    assert len(first) != len(second) or not np.array_equal(first.confidence, second.confidence)
