"""The SAM that ships sees parts on a belt, in images of any size, and without torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeloop.edge.synth import open_scene
from edgeloop.labeling.sam import Segmenter, fingerprint, load
from edgeloop.models.errors import NoInputError
from edgeloop.models.weights.registry import weights_path


@pytest.fixture(scope="module")
def nano() -> Segmenter:
    return load("nano")


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a & b).sum(axis=(1, 2)) / np.maximum((a | b).sum(axis=(1, 2)), 1)


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


def test_a_pair_of_the_recipe_is_told_by_its_names(nano: Segmenter, tmp_path: Path) -> None:
    for name in ("nano", "nano-encoder", "nano-decoder"):
        shutil.copy(weights_path(name), tmp_path)
    image, boxes = np.full((64, 96, 3), 90, np.uint8), np.array([[10, 10, 50, 40]], np.float32)
    for segmenter in (nano, mine := load(str(tmp_path))):
        segmenter.set_image(image)
    assert np.array_equal(mine.masks(boxes=boxes)[0], nano.masks(boxes=boxes)[0])

    digest = fingerprint(str(tmp_path))
    assert fingerprint(str(tmp_path / "nano_decoder.onnx")) == digest
    weights = tmp_path / "nano.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert fingerprint(str(tmp_path)) != digest
    weights.unlink()
    with pytest.raises(NoInputError, match=r"there is no file .*nano.safetensors; expected nano's weights"):
        load(str(tmp_path))


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
