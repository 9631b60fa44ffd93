"""The SAM that ships: through onnxruntime it is the model that torch runs, and it sees parts on a belt."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edgeloop.edge.synth import open_scene
from edgeloop.labeling.sam import Segmenter, load
from edgeloop.models.weights.registry import weights_path


@pytest.fixture(scope="module")
def nano() -> Segmenter:
    return load("nano")


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a & b).sum(axis=(1, 2)) / np.maximum((a | b).sum(axis=(1, 2)), 1)


@pytest.mark.slow
def test_onnxruntime_repeats_torch(nano: Segmenter) -> None:
    scene = open_scene("conveyor", seed=3, size=(768, 432))
    image, boxes = scene.render(500), scene.truth(500).xyxy
    points = (boxes[:, :2] + boxes[:, 2:]) / 2
    torch_nano = load(str(weights_path("nano")))
    assert len(boxes) >= 3
    for segmenter in (nano, torch_nano):
        segmenter.set_image(image)
    for prompts in ({"boxes": boxes}, {"points": points}):
        masks, scores = nano.masks(**prompts)
        expected, expected_scores = torch_nano.masks(**prompts)
        assert _iou(masks, expected).min() >= 0.98
        assert _iou(masks, expected).mean() >= 0.99
        np.testing.assert_allclose(scores, expected_scores, atol=0.01)


@pytest.mark.slow
def test_boxes_around_parts_give_their_masks(nano: Segmenter) -> None:
    scene = open_scene("conveyor", seed=5)
    ious = []
    for index in (100, 400, 700):
        truth = scene.truth(index)
        nano.set_image(scene.render(index))
        masks, scores = nano.masks(boxes=truth.xyxy)
        assert masks.shape == truth.masks.shape
        assert np.all((scores > 0) & (scores < 1.2))
        ious += _iou(masks, truth.masks).tolist()
    assert np.mean(ious) > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("size", [(96, 128), (1080, 1920), (1000, 40), (33, 31)])
def test_any_image_size(nano: Segmenter, size: tuple[int, int]) -> None:
    height, width = size
    nano.set_image(np.full((height, width, 3), 90, np.uint8))
    masks, scores = nano.masks(points=np.array([[width / 2, height / 2]] * 40, np.float32))
    assert masks.shape == (40, height, width)
    assert scores.shape == (40,)


def test_no_prompts_no_masks(nano: Segmenter) -> None:
    nano.set_image(np.zeros((64, 64, 3), np.uint8))
    masks, scores = nano.masks(boxes=np.empty((0, 4), np.float32))
    assert masks.shape == (0, 64, 64)
    assert scores.shape == (0,)


@pytest.mark.slow
def test_it_needs_no_torch() -> None:
    code = (
        "import sys, numpy as np\nfrom edgeloop.labeling.sam import load\n"
        "load('nano').set_image(np.zeros((64, 64, 3), np.uint8))\n"
        "assert not {'torch', 'segment_anything'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
