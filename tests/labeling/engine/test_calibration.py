"""Calibration and the promise, on made-up held-out frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeloop.edge.scoring.coco import coco_results, evaluate_boxes
from edgeloop.labeling.engine.calibration import Calibration, HeldOut, fit_calibration, match
from edgeloop.labeling.engine.engine import _exclusive
from edgeloop.labeling.engine.promise import estimate_quality
from edgeloop.labeling.inputs.exemplars import ExemplarFrame
from edgeloop.models.boxes import xyxy_to_xywh
from edgeloop.models.detections import Detections

BOXES = np.array([[10 * k, 0, 10 * k + 8, 8] for k in range(10)], np.float32)


def frame(count: int, class_id: int = 0) -> ExemplarFrame:
    return ExemplarFrame(Path("a.jpg"), BOXES[:count], np.full(count, class_id))


def found(rows: list[int], score: float = 0.9, *, shift: float = 0.0, class_id: int = 0) -> Detections:
    boxes = BOXES[rows] + np.float32(shift)
    return Detections(boxes, np.full(len(rows), score, np.float32), np.full(len(rows), class_id))


@pytest.mark.parametrize(
    ("detections", "expected"),
    [
        pytest.param(found([0, 1]), [0, 1], id="both right"),
        pytest.param(found([0, 5]), [0, -1], id="one beside"),
        pytest.param(found([0, 0]), [0, -1], id="a box only once"),
        pytest.param(found([0], shift=5), [-1], id="too far off"),
        pytest.param(found([0], class_id=1), [-1], id="another class"),
        pytest.param(Detections.empty(), [], id="nothing"),
    ],
)
def test_matching(detections: Detections, expected: list[int]) -> None:
    assert match(HeldOut(frame(3), detections)).tolist() == expected


@pytest.mark.parametrize(
    ("right", "low", "high"),
    [(10, 0.8, 1.0), (0, 0.0, 0.5)],
    ids=["always right: surer than it says", "always wrong: less sure"],
)
def test_calibration_follows_the_held_out_frames(right: int, low: float, high: float) -> None:
    rows = list(range(10))
    held_out = [HeldOut(frame(right), found(rows, 0.5)) for _ in range(4)]
    score = np.array([0.5], np.float32)
    assert low < fit_calibration(held_out)(score, member=True)[0] < high


def test_calibration_without_detections_changes_nothing() -> None:
    assert fit_calibration([HeldOut(frame(3), Detections.empty())]) == Calibration(0.0)


def test_probability_rises_with_the_score() -> None:
    probabilities = Calibration(0.3)(np.linspace(0, 1, 50, dtype=np.float32))
    assert (np.diff(probabilities) >= 0).all()
    assert 0 < probabilities[0] < probabilities[-1] < 1


def promise_of(held_out: list[HeldOut]):  # type: ignore[no-untyped-def]
    return estimate_quality(held_out, ("bolt", "nut"), Calibration(0.0), confidence=0.5, seed=0)


def test_promise_counts_right_labels_and_found_objects() -> None:
    promise = promise_of([HeldOut(frame(8), found([0, 1, 2, 3, 8])) for _ in range(4)])
    assert promise.precision.value == pytest.approx(0.8)
    assert promise.recall.value == pytest.approx(0.5)
    assert promise.recall.low < 0.5 < promise.recall.high
    assert promise.map50.value == pytest.approx(0.5, abs=0.06)
    assert promise.too_few == ("nut",)
    assert "nut" in str(promise)


def test_promise_has_the_average_precision_of_coco() -> None:
    rng = np.random.default_rng(7)
    held_out, truth, rows = [], [], []
    for number in range(6):
        boxes, classes = BOXES[: 4 + number], rng.integers(2, size=4 + number)
        moved = np.concatenate((boxes, boxes)) + rng.uniform(-4, 4, (2 * len(boxes), 1)).astype(np.float32)
        scores = rng.uniform(0.01, 0.99, len(moved)).astype(np.float32)
        detections = Detections(moved, scores, np.concatenate((classes, 1 - classes)))
        held_out.append(HeldOut(ExemplarFrame(Path("a.jpg"), boxes, classes), detections))
        truth += [
            {"image_id": number, "category_id": each, "bbox": box}
            for each, box in zip(classes.tolist(), xyxy_to_xywh(boxes).tolist(), strict=True)
        ]
        rows += coco_results(number, detections)
    images = [{"id": number} for number in range(6)]
    categories = [{"id": 0, "name": "bolt"}, {"id": 1, "name": "nut"}]
    expected = evaluate_boxes({"images": images, "categories": categories, "annotations": truth}, rows).map50
    assert 0.1 < expected < 0.9
    assert promise_of(held_out).map50.value == round(expected, 3)


def test_promise_is_wider_if_frames_differ() -> None:
    alike = [HeldOut(frame(4), found([0, 1])) for _ in range(4)]
    unlike = [HeldOut(frame(4), found(rows)) for rows in ([0, 1, 2, 3], [0, 1, 2, 3], [], [])]
    narrow, wide = promise_of(alike).recall, promise_of(unlike).recall
    assert narrow.value == wide.value == pytest.approx(0.5)
    assert wide.high - wide.low > narrow.high - narrow.low


def test_no_promise_if_no_class_is_on_two_frames() -> None:
    assert promise_of([HeldOut(frame(4), found([0])), HeldOut(frame(4, 1), found([0]))]) is None


def test_promise_of_crowded_frames_counts_all_objects() -> None:
    boxes = np.array(
        [[10 * (k % 20), 10 * (k // 20), 10 * (k % 20) + 8, 10 * (k // 20) + 8] for k in range(300)],
        np.float32,
    )
    crowded = HeldOut(
        ExemplarFrame(Path("a.jpg"), boxes, np.zeros(300, np.int64)),
        Detections(boxes, np.full(300, 0.9, np.float32), np.zeros(300, np.int64)),
    )
    assert promise_of([crowded, crowded]).map50.value == pytest.approx(1.0)


def test_promise_of_two_objects_is_no_certainty() -> None:
    promise = promise_of([HeldOut(frame(1), found([0])) for _ in range(2)])
    assert promise.recall.value == 1
    assert promise.recall.low < 0.6
    assert promise.map50.low < 0.6


def test_precision_is_unknown_without_a_label() -> None:
    promise = promise_of([HeldOut(frame(2), Detections.empty()) for _ in range(2)])
    assert promise.precision is None
    assert promise.recall.value == 0
    assert "precision unknown" in str(promise)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [((0.9, 0.8), [0.9, 0.1]), ((0.8, 0.8), [0.8, 0.2]), ((0.6, 0.3), [0.6, 0.3])],
    ids=["the surer class wins", "a tie has one winner", "both possible"],
)
def test_classes_of_one_object_share_its_probability(
    scores: tuple[float, float], expected: list[float]
) -> None:
    both = Detections(BOXES[[0, 0]], np.array(scores, np.float32), np.array([0, 1]))
    np.testing.assert_allclose(_exclusive(both, both.confidence), expected, atol=1e-6)
