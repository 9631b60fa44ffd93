from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle

from edgeloop.edge.scoring.coco import coco_mask_results, evaluate_boxes, evaluate_masks
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError
from edgeloop.models.masks import Masks

SIZE = 40, 30
"""Width and height of the image."""


def found(*windows: tuple[int, int, np.ndarray]) -> Detections:
    """Objects of class 1 by left, top and pixels, each with the box of its window."""
    boxes = [[left, top, left + part.shape[1], top + part.shape[0]] for left, top, part in windows]
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, len(windows), dtype=np.float32),
        np.ones(len(windows), np.int64),
        masks=Masks(
            tuple(part.astype(bool) for *_, part in windows),
            np.array([[left, top] for left, top, _ in windows], np.int64).reshape(-1, 2),
            SIZE,
        ),
    )


def truth(*segmentations: Any, sized: bool = True) -> dict[str, Any]:
    image = {"id": 7, "width": SIZE[0], "height": SIZE[1]} if sized else {"id": 7}
    return {
        "images": [image],
        "categories": [{"id": 1, "name": "part"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "segmentation": segmentation} for segmentation in segmentations
        ],
    }


SQUARE = [[4, 5, 14, 5, 14, 15, 4, 15]]
TRIANGLE = np.tri(10)


@pytest.mark.parametrize("left", [0, 7, 30])
@pytest.mark.parametrize("top", [0, 4, 20])
def test_masks_become_the_run_lengths_of_the_whole_image(left: int, top: int) -> None:
    given = found((left, top, TRIANGLE), (0, 0, np.zeros((0, 0))))
    (row, nothing) = coco_mask_results(7, given)
    assert given.masks is not None
    whole = given.masks.to_array()
    expected = rle.encode(np.asfortranarray(whole[0], np.uint8))
    assert row == {
        "image_id": 7,
        "category_id": 1,
        "bbox": [left, top, 10, 10],
        "score": pytest.approx(0.9),
        "segmentation": {"size": [30, 40], "counts": expected["counts"].decode()},
    }
    assert rle.decode(nothing["segmentation"]).shape == (30, 40)
    assert not rle.decode(nothing["segmentation"]).any()


@pytest.mark.parametrize(
    ("pixels", "map50", "map50_95"),
    [
        pytest.param(np.ones((10, 10)), 1.0, 1.0, id="all pixels"),
        pytest.param(np.pad(np.ones((7, 10)), ((0, 3), (0, 0))), 1.0, 0.5, id="seven tenths of them"),
        pytest.param(np.pad(np.ones((4, 10)), ((0, 6), (0, 0))), 0.0, 0.0, id="right box and wrong mask"),
        pytest.param(np.zeros((10, 10)), 0.0, 0.0, id="no pixel"),
    ],
)
def test_pixels_decide(pixels: np.ndarray, map50: float, map50_95: float) -> None:
    rows = coco_mask_results(7, found((4, 5, pixels)))
    assert evaluate_boxes(truth(SQUARE), rows).map50_95 == pytest.approx(1.0)
    scores = evaluate_masks(truth(SQUARE), rows)
    assert scores.map50 == pytest.approx(map50, abs=1e-3)
    assert scores.map50_95 == pytest.approx(map50_95, abs=1e-3)
    assert scores.per_class["part"].truths == 1


def test_run_lengths_and_polygons_are_the_same_truth() -> None:
    rows = coco_mask_results(7, found((4, 5, np.ones((10, 10))), (20, 5, TRIANGLE)))
    drawn = [row["segmentation"] for row in rows]
    counts = [4 * 30 + 5, *[10, 20] * 9, 10]
    raw = {"size": [30, 40], "counts": [*counts, 40 * 30 - sum(counts)]}
    assert evaluate_masks(truth(raw, drawn[1], sized=False), rows).map50_95 == pytest.approx(1.0)
    assert evaluate_masks(truth(SQUARE, drawn[1]), rows).map50_95 == pytest.approx(1.0)


def test_two_masks_with_one_box_are_two_objects() -> None:
    """As two halves along a diagonal; only a label that is given twice counts once."""
    one, other = [[4, 5, 14, 5, 14, 15]], [[4, 5, 4, 15, 14, 15]]
    drawn = truth(one, other, other)
    rows = coco_mask_results(7, found((4, 5, np.triu(np.ones((10, 10)))), (4, 5, np.tri(10))))
    scores = evaluate_masks(drawn, rows)
    assert scores.per_class["part"].truths == 2
    assert scores.map50 == pytest.approx(1.0)
    assert evaluate_boxes(drawn, rows).per_class["part"].truths == 1


def test_an_image_without_detections_scores_nothing() -> None:
    assert coco_mask_results(7, found()) == []
    assert evaluate_masks(truth(SQUARE), []).map50 == 0


@pytest.mark.parametrize(
    ("segmentation", "sized", "said"),
    [
        (None, True, "ground truth 1, of image 7: segmentation: Field required"),
        (SQUARE, False, "polygons need the width and height of their image"),
        ({"size": [30, 41], "counts": [30 * 41]}, True, "of 41x30, its image is 40x30"),
        ({"size": [30, 40], "counts": [7]}, True, "run lengths do not add up"),
        ([[4, 5, 14, 15]], True, "at least three corners"),
    ],
)
def test_a_label_without_a_mask_of_its_image_is_refused(segmentation: Any, sized: bool, said: str) -> None:
    expected = truth(segmentation, sized=sized)
    expected["annotations"][0]["bbox"] = [4, 5, 10, 10]
    with pytest.raises(DataError, match=said):
        evaluate_masks(expected, [])


def test_boxes_are_not_scored_as_masks() -> None:
    boxes = {"image_id": 7, "category_id": 1, "bbox": [4, 5, 10, 10], "score": 0.5}
    with pytest.raises(DataError, match="prediction 1, of image 7: segmentation: Field required"):
        evaluate_masks(truth(SQUARE), [boxes])
    with pytest.raises(ValueError, match="no masks"):
        coco_mask_results(7, Detections.empty())
