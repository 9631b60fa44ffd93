from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from edgeloop.edge.scoring.coco import coco_results, evaluate_boxes, precision_recall
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, UnavailableError

Box = dict[str, Any]


def truth(*boxes: Box, images: int = 2) -> dict[str, Any]:
    return {
        "images": [{"id": number} for number in range(images)],
        "categories": [{"id": 3, "name": "tram"}, {"id": 1, "name": "car"}],
        "annotations": list(boxes),
    }


def box(
    x: float,
    *,
    image: int = 0,
    category: int = 1,
    score: float | np.float32 | None = None,
    crowd: int | None = None,
) -> Box:
    """A box 10 x 10 at (x, 0), an object or, with a score, a prediction."""
    made: Box = {"image_id": image, "category_id": category, "bbox": [x, 0, 10, 10]}
    if score is not None:
        made["score"] = score
    if crowd is not None:
        made["iscrowd"] = crowd
    return made


def test_detections_become_results() -> None:
    found = Detections(
        np.array([[10, 20, 40, 25], [0, 0, 1, 1]], np.float32),
        np.array([0.75, 0.5], np.float32),
        np.array([3, 1], np.int64),
    )
    assert coco_results(7, found) == [
        {"image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 5], "score": 0.75},
        {"image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5},
    ]


@pytest.mark.parametrize(
    ("found", "map50", "map50_95"),
    [
        pytest.param([box(0, score=0.9), box(50, score=0.8)], 1.0, 1.0, id="all"),
        pytest.param([], 0.0, 0.0, id="nothing"),
        pytest.param([box(0, score=0.9)], 51 / 101, 51 / 101, id="half"),
        pytest.param(
            [box(0, score=0.9), box(90, score=0.95), box(50, score=0.8)], 2 / 3, 2 / 3, id="a false one first"
        ),
        pytest.param(
            [box(0, score=0.9), box(50, score=0.8), box(90, score=0.1)], 1.0, 1.0, id="a false one last"
        ),
        pytest.param(
            [box(0, score=0.9), box(0, score=0.8), box(50, score=0.7)],
            (51 + 50 * 2 / 3) / 101,
            None,
            id="one twice",
        ),
        pytest.param([box(1, score=0.9), box(51, score=0.8)], 1.0, 0.7, id="a tenth aside"),
        pytest.param(
            [box(0, image=1, score=0.9), box(50, image=1, score=0.8)], 0.0, 0.0, id="in another image"
        ),
        pytest.param([box(0, category=3, score=0.9)], 0.0, 0.0, id="of another class"),
    ],
)
def test_average_precision(found: list[Box], map50: float, map50_95: float | None) -> None:
    scores = evaluate_boxes(truth(box(0), box(50)), found)
    assert scores.map50 == pytest.approx(map50, abs=1e-3)
    if map50_95 is not None:
        assert scores.map50_95 == pytest.approx(map50_95, abs=1e-3)


def test_the_mean_is_over_classes_that_have_objects() -> None:
    expected = truth(box(0), box(50), box(70, category=3))
    scores = evaluate_boxes(expected, [box(0, score=0.9), box(50, score=0.9)])
    assert scores.map50 == pytest.approx(0.5)
    assert set(scores.per_class) == {"car", "tram"}
    assert (scores.per_class["car"].map50, scores.per_class["car"].truths) == (pytest.approx(1), 2)
    assert (scores.per_class["tram"].map50, scores.per_class["tram"].truths) == (0, 1)


def test_only_the_chosen_classes_count() -> None:
    expected = truth(box(0), box(70, category=3))
    found = [box(0, score=0.9), box(20, category=3, score=0.9)]
    scores = evaluate_boxes(expected, found, categories=["car"])
    assert (scores.map50, list(scores.per_class)) == (pytest.approx(1), ["car"])
    assert precision_recall(expected, found, categories=["car"]).precision == 1


def test_only_the_chosen_images_count() -> None:
    assert evaluate_boxes(truth(box(0), box(50, image=7)), [box(0, score=0.9)]).map50 == pytest.approx(1)


def test_more_objects_than_coco_counts_can_all_be_found() -> None:
    found = [box(x, score=0.9) for x in range(0, 120 * 50, 50)]
    assert evaluate_boxes(truth(*(box(x) for x in range(0, 120 * 50, 50))), found).map50 == pytest.approx(1)


def test_predictions_beyond_the_maximum_do_not_count() -> None:
    expected, found = truth(box(0), box(50)), [box(0, score=0.9), box(50, score=0.8)]
    assert evaluate_boxes(expected, found, max_boxes=1).map50 == pytest.approx(51 / 101)


def test_crowds_count_neither_way() -> None:
    expected = truth(box(0), box(50, crowd=1))
    found = [box(0, score=0.9), box(50, score=0.95), box(50, score=0.94)]
    assert evaluate_boxes(expected, found).map50 == pytest.approx(1)
    counts = precision_recall(expected, found)
    assert (counts.matched, counts.predicted, counts.truths) == (1, 1, 1)


def test_what_comes_in_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    expected, found = truth(box(0)), [box(0, score=np.float32(0.9))]
    evaluate_boxes(expected, found)
    assert expected == truth(box(0))
    assert set(found[0]) == {"image_id", "category_id", "bbox", "score"}
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        pytest.param([box(0, score=0.9), box(50, score=0.8)], (2, 2, 2), id="all"),
        pytest.param([], (0, 0, 2), id="nothing"),
        pytest.param([box(0, score=0.9), box(0, score=0.8)], (1, 2, 2), id="one twice"),
        pytest.param([box(0, score=0.9), box(50, score=0.4)], (1, 1, 2), id="one below the threshold"),
        pytest.param([box(0, score=0.5)], (1, 1, 2), id="one on the threshold"),
        pytest.param([box(6, score=0.9)], (0, 1, 2), id="too far aside"),
        pytest.param([box(0, category=3, score=0.9)], (0, 1, 2), id="of another class"),
        pytest.param([box(0, image=1, score=0.9)], (0, 1, 2), id="in another image"),
    ],
)
def test_precision_and_recall(found: list[Box], counts: tuple[int, int, int]) -> None:
    score = precision_recall(truth(box(0), box(50)), found, confidence=0.5)
    assert (score.matched, score.predicted, score.truths) == counts
    assert score.precision == (counts[0] / counts[1] if counts[1] else 0)
    assert score.recall == counts[0] / counts[2]


def test_the_more_confident_box_has_the_first_choice() -> None:
    # The sure box fits both objects and takes the nearer one; the other box fits only that one.
    score = precision_recall(truth(box(0), box(4)), [box(1, score=0.9), box(-3, score=0.8)], iou=0.5)
    assert score.matched == 1


def test_recall_without_objects_is_zero() -> None:
    assert precision_recall(truth(), [box(0, score=0.9)]).recall == 0


@pytest.mark.parametrize("score", [evaluate_boxes, precision_recall])
@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param([box(0, image=9, score=0.9)], "prediction of image 9", id="an unknown image"),
        pytest.param([box(0, category=9, score=0.9)], "prediction of class 9", id="an unknown class"),
    ],
)
def test_predictions_of_something_else_are_refused(score: Any, found: list[Box], message: str) -> None:
    with pytest.raises(DataError, match=message):
        score(truth(box(0)), found)


def test_an_unknown_class_to_score_is_refused() -> None:
    with pytest.raises(DataError, match="class 'bus': the ground truth has car, tram"):
        evaluate_boxes(truth(box(0)), [], categories=["bus"])


def test_labels_are_read_by_the_rules_of_exemplars(caplog: pytest.LogCaptureFixture) -> None:
    polygon = {**box(50), "bbox": None, "segmentation": [[50, 0, 60, 0, 60, 10, 50, 10]], "iscrowd": 1}
    expected = truth(box(0), box(0, crowd=0), polygon, box(90) | {"bbox": [90, 0, 0, 10]})
    found = [box(0, score=0.9), box(50, score=0.8)]
    counts = precision_recall(expected, found)
    assert (counts.matched, counts.predicted, counts.truths) == (2, 2, 2)
    assert evaluate_boxes(expected, found).map50 == pytest.approx(1)
    for told in ("1 labels are given twice", "1 iscrowd labels have one mask", "1 boxes have no area"):
        assert told in caplog.text


@pytest.mark.parametrize("bbox", [None, [], [1, 2], [1, 2, 3, float("nan")], "text"])
def test_labels_without_a_box_are_refused(bbox: object) -> None:
    with pytest.raises(DataError, match=r"^ground truth: annotations\[1\]: "):
        precision_recall(truth(box(0), box(0) | {"bbox": bbox}), [])


def test_without_objects_there_is_nothing_to_score() -> None:
    with pytest.raises(DataError, match="nothing to score against"):
        evaluate_boxes(truth(), [])


def test_without_pycocotools_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pycocotools"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnavailableError, match=r"pip install 'edgeloop\[label\]'"):
        evaluate_boxes(truth(box(0)), [])
