"""Fusion of boxes from several views."""

from __future__ import annotations

import numpy as np
import pytest

from edgeloop.labeling.engine.fusion import fuse_boxes
from edgeloop.models.detections import Detections

Row = tuple[tuple[float, float, float, float], float, int]
LEFT, RIGHT = (10.0, 10.0, 30.0, 30.0), (60.0, 10.0, 90.0, 30.0)
SHIFTED = (14.0, 10.0, 34.0, 30.0)


def view(*rows: Row) -> Detections:
    boxes, scores, classes = ([row[part] for row in rows] for part in range(3))
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(classes, np.int64),
    )


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        pytest.param([[(LEFT, 0.8, 0)], [(LEFT, 0.4, 0)]], [(LEFT, 0.6, 0)], id="both see it: mean score"),
        pytest.param([[(LEFT, 0.8, 0)], []], [(LEFT, 0.4, 0)], id="one misses it: half the score"),
        pytest.param(
            [[(LEFT, 0.6, 0)], [(SHIFTED, 0.2, 0)]],
            [((11.0, 10.0, 31.0, 30.0), 0.4, 0)],
            id="box is the mean weighted by score",
        ),
        pytest.param(
            [[(LEFT, 0.8, 0)], [(LEFT, 0.4, 1)]],
            [(LEFT, 0.4, 0), (LEFT, 0.2, 1)],
            id="classes stay apart",
        ),
        pytest.param(
            [[(LEFT, 0.8, 0), (SHIFTED, 0.7, 0)], [(LEFT, 0.8, 0)]],
            [(LEFT, 0.8, 0)],
            id="only the best box of a view counts",
        ),
        pytest.param(
            [[(LEFT, 0.2, 0), (RIGHT, 0.8, 0)], [(RIGHT, 0.6, 0)]],
            [(RIGHT, 0.7, 0), (LEFT, 0.1, 0)],
            id="surest first",
        ),
        pytest.param([[], []], [], id="nothing found"),
    ],
)
def test_fused(views: list[list[Row]], expected: list[Row]) -> None:
    fused = fuse_boxes([view(*rows) for rows in views])
    wanted = view(*expected)
    np.testing.assert_allclose(fused.xyxy, wanted.xyxy, atol=1e-4)
    np.testing.assert_allclose(fused.confidence, wanted.confidence, atol=1e-6)
    assert fused.class_id.tolist() == wanted.class_id.tolist()
