"""The raw head: decoded on the host as the classic head decodes in the graph."""

from __future__ import annotations

import numpy as np
import pytest

from edgeloop.models.errors import ModelError
from edgeloop.models.heads import decode
from edgeloop.models.heads.raw import raw_to_classic

SIZE = (320, 256)
CLASSES = 3
STRIDES = (8, 16, 32)


def raw_outputs(bins: int = 1, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    outputs = []
    for stride in STRIDES:
        grid = (SIZE[1] // stride, SIZE[0] // stride)
        boxes = rng.uniform(0.5, 4, (1, 4, *grid)) if bins == 1 else rng.normal(0, 2, (1, 4 * bins, *grid))
        outputs += [boxes.astype(np.float32), rng.normal(-3, 2, (1, CLASSES, *grid)).astype(np.float32)]
    return outputs


@pytest.mark.parametrize("bins", [1, 16])
def test_candidates_are_those_of_the_classic_head(bins: int) -> None:
    outputs = raw_outputs(bins)
    raw = decode("raw", outputs, input_size=SIZE, confidence=0.25, iou=0.7)
    dense = raw_to_classic(outputs, SIZE)
    classic = decode("classic", [dense], input_size=SIZE, confidence=0.25, iou=0.7)
    assert len(raw) > 50
    np.testing.assert_allclose(raw.xyxy, classic.xyxy, atol=1e-4)
    np.testing.assert_allclose(raw.confidence, classic.confidence, atol=1e-6)
    np.testing.assert_array_equal(raw.class_id, classic.class_id)


def test_a_cell_is_decoded_around_its_middle() -> None:
    outputs = raw_outputs()
    for boxes, scores in zip(outputs[::2], outputs[1::2], strict=True):
        boxes[:], scores[:] = 1, -20
    outputs[2][0, :, 3, 5] = (1, 2, 3, 4)  # stride 16
    outputs[3][0, 1, 3, 5] = 2
    found = decode("raw", outputs, input_size=SIZE, confidence=0.5, iou=0.7)
    assert found.xyxy.tolist() == [[16 * 4.5, 16 * 1.5, 16 * 8.5, 16 * 7.5]]
    assert found.class_id.tolist() == [1]
    assert found.confidence[0] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)


@pytest.mark.parametrize(
    "shapes",
    [
        pytest.param([(1, 4, 32, 40)], id="boxes alone"),
        pytest.param([(1, 5, 32, 40), (1, 3, 32, 40)], id="not four sides"),
        pytest.param([(1, 4, 32, 40), (1, 3, 16, 20)], id="two grids"),
        pytest.param([(1, 4, 32, 41), (1, 3, 32, 41)], id="no stride"),
    ],
)
def test_other_outputs_are_refused(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ModelError, match="raw head: expected pairs"):
        decode("raw", [np.zeros(shape) for shape in shapes], input_size=SIZE, confidence=0.5, iou=0.7)
