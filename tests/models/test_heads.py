from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeloop.models.errors import ModelError
from edgeloop.models.heads import HEADS, Head, cell_count, decode

LOOSE: dict[str, Any] = {"input_size": (320, 256), "confidence": 0.3, "iou": 0.6}


def classic_output(seed: int, classes: int = 6) -> np.ndarray:
    """(1, 4 + classes, N) with clusters of overlapping boxes."""
    rng = np.random.default_rng(seed)
    count = cell_count((320, 256))
    cluster = rng.integers(0, 40, count)
    center = rng.uniform(20, 300, (40, 2))[cluster] + rng.normal(0, 4, (count, 2))
    size = rng.uniform(20, 40, (count, 2))
    scores = rng.random((count, classes)) ** 6
    return np.concatenate((center, size, scores), axis=1).T[None].astype(np.float32)


def yolox_output(seed: int, classes: int = 5) -> np.ndarray:
    """(1, N, 5 + classes) of a 320 x 256 input."""
    rng = np.random.default_rng(seed)
    count = cell_count((320, 256))
    place, size = rng.normal(0, 1, (count, 2)), rng.normal(1, 0.3, (count, 2))
    scores = rng.random((count, 1 + classes)) ** 2
    return np.concatenate((place, size, scores), axis=1)[None].astype(np.float32)


def yolox_boxes(output: np.ndarray, input_size: tuple[int, int]) -> np.ndarray:
    """`demo_postprocess` of YOLOX, then corners: (N, 4)."""
    width, height = input_size
    grids, strides = [], []
    for stride in (8, 16, 32):
        xv, yv = np.meshgrid(np.arange(width // stride), np.arange(height // stride))
        grid = np.stack((xv, yv), 2).reshape(1, -1, 2)
        grids.append(grid)
        strides.append(np.full((*grid.shape[:2], 1), stride))
    cells, steps = np.concatenate(grids, 1), np.concatenate(strides, 1)
    center, size = (output[..., :2] + cells) * steps, np.exp(output[..., 2:4]) * steps
    return np.concatenate((center - size / 2, center + size / 2), axis=-1)[0]


def test_end2end_drops_unsure_and_unused_rows_and_sorts() -> None:
    rows = [[0, 0, 9, 9, 0.5, 1], [1, 1, 5, 5, 0.9, 0], [2, 2, 6, 6, 0.3, 2], [0, 0, 0, 0, 0, 0]]
    found = decode("end2end", [np.array([rows], np.float32)], **LOOSE)
    assert found.confidence.tolist() == pytest.approx([0.9, 0.5])
    assert found.class_id.tolist() == [0, 1]
    assert found.xyxy.tolist() == [[1, 1, 5, 5], [0, 0, 9, 9]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_detections", [300, 10])
def test_classic_finds_what_ultralytics_finds(seed: int, max_detections: int) -> None:
    torch = pytest.importorskip("torch")
    nms = pytest.importorskip("ultralytics.utils.nms")
    output = classic_output(seed)
    found = decode("classic", [output], **LOOSE, max_detections=max_detections)
    expected = nms.non_max_suppression(torch.from_numpy(output), 0.3, 0.6, max_det=max_detections)[0].numpy()
    assert len(found) == len(expected) > 5
    assert found.class_id.tolist() == expected[:, 5].tolist()
    assert found.confidence.tolist() == expected[:, 4].tolist()
    assert found.xyxy == pytest.approx(expected[:, :4], abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_yolox_finds_what_its_own_decoder_and_torchvision_find(seed: int) -> None:
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    output = yolox_output(seed)
    found = decode("yolox", [output], **LOOSE)
    boxes = torch.from_numpy(yolox_boxes(output, (320, 256))).float()
    scores, class_id = torch.from_numpy(output[0, :, 4:5] * output[0, :, 5:]).max(1)
    sure = scores > 0.3
    kept = ops.batched_nms(boxes[sure], scores[sure], class_id[sure], 0.6)[:300]
    assert len(found) == len(kept) > 100
    assert found.class_id.tolist() == class_id[sure][kept].tolist()
    assert found.confidence == pytest.approx(scores[sure][kept].numpy())
    assert found.xyxy == pytest.approx(boxes[sure][kept].numpy(), abs=1e-3)


def nanodet_outputs(seed: int, classes: int = 5) -> list[np.ndarray]:
    """Six outputs of a 320 x 256 input."""
    rng = np.random.default_rng(seed)
    cells = (1280, 320, 80)
    scores = [(rng.random((1, count, classes)) ** 6).astype(np.float32) for count in cells]
    return scores + [rng.normal(0, 3, (1, count, 32)).astype(np.float32) for count in cells]


def nanodet_boxes(outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) and scores (N, classes) as NanoDet's own demo finds them, cell by cell."""
    boxes, scores = [], []
    for level, stride in enumerate((8, 16, 32)):
        for cell, (score, logits) in enumerate(zip(outputs[level][0], outputs[3 + level][0], strict=True)):
            x = (cell % (320 // stride) + 0.5) * stride
            y = (cell // (320 // stride) + 0.5) * stride
            sides = []
            for side in np.split(logits.astype(np.float64), 4):
                share = np.exp(side) / np.exp(side).sum()
                sides.append(sum(share * range(8)) * stride)
            boxes.append((x - sides[0], y - sides[1], x + sides[2], y + sides[3]))
            scores.append(score.astype(np.float64))
    return np.array(boxes), np.array(scores)


def fastestdet_output(seed: int, classes: int = 5) -> np.ndarray:
    """(1, 5 + classes, 16, 20) of a 320 x 256 input."""
    rng = np.random.default_rng(seed)
    output = rng.random((1, 5 + classes, 16, 20))
    output[:, 1:5] = rng.normal(0, 1, (1, 4, 16, 20)) - [[[[0]], [[0]], [[2]], [[2]]]]
    return output.astype(np.float32)


def fastestdet_boxes(output: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (N, 4), scores (N,) and classes (N,) as FastestDet's own `runonnx` finds them, cell by cell."""
    boxes, scores, classes = [], [], []
    for row in range(16):
        for column in range(20):
            cell = output[0, :, row, column].astype(np.float64)
            center_x = (column + np.tanh(cell[1])) / 20
            center_y = (row + np.tanh(cell[2])) / 16
            width, height = 1 / (1 + np.exp(-cell[3])), 1 / (1 + np.exp(-cell[4]))
            x1, y1 = (center_x - width / 2) * 320, (center_y - height / 2) * 256
            boxes.append((x1, y1, x1 + width * 320, y1 + height * 256))
            scores.append(cell[0] ** 0.6 * cell[5:].max() ** 0.4)
            classes.append(cell[5:].argmax())
    return np.array(boxes), np.array(scores), np.array(classes)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("head", ["nanodet", "fastestdet"])
def test_grids_find_what_their_own_demos_and_torchvision_find(head: Head, seed: int) -> None:
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    if head == "nanodet":
        outputs = nanodet_outputs(seed)
        boxes, by_class = nanodet_boxes(outputs)
        scores, class_id = by_class.max(axis=1), by_class.argmax(axis=1)
    else:
        outputs = [fastestdet_output(seed)]
        boxes, scores, class_id = fastestdet_boxes(outputs[0])
    found = decode(head, outputs, **LOOSE)
    sure = scores > 0.3
    best = [torch.from_numpy(values[sure]) for values in (boxes, scores, class_id)]
    kept = ops.batched_nms(*best, 0.6)[:300]
    assert len(found) == len(kept) > 50
    assert found.class_id.tolist() == best[2][kept].tolist()
    assert found.confidence == pytest.approx(best[1][kept].numpy(), abs=1e-5)
    assert found.xyxy == pytest.approx(best[0][kept].numpy(), abs=1e-2)


def test_yolox_has_3549_cells_at_416() -> None:
    assert cell_count((416, 416)) == 3549


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(
    ("head", "outputs"),
    [
        pytest.param("end2end", [np.zeros((1, 300, 6))], id="end2end"),
        pytest.param("classic", [classic_output(0) * 0], id="classic"),
        pytest.param("yolox", [yolox_output(0) * 0], id="yolox"),
        pytest.param("nanodet", [output * 0 for output in nanodet_outputs(0)], id="nanodet"),
        pytest.param("fastestdet", [fastestdet_output(0) * 0], id="fastestdet"),
        pytest.param("yolov5", [np.zeros((1, 5040, 8))], id="yolov5"),
        pytest.param("detr", [np.zeros((1, 300, 4)), np.full((1, 300, 8), -9.0)], id="detr"),
        pytest.param("end2end", [np.zeros((0, 7))], id="no row of seven"),
    ],
)
def test_nothing_found_is_empty(head: Head, outputs: list[np.ndarray], dtype: type) -> None:
    found = decode(head, [output.astype(dtype) for output in outputs], **LOOSE)
    assert len(found) == 0
    assert found.xyxy.dtype == np.float32


@pytest.mark.parametrize("head", HEADS)
def test_scores_that_are_no_numbers_are_not_found(head: Head) -> None:
    shapes = {
        "end2end": [(1, 300, 6)],
        "classic": [(1, 9, 100)],
        "yolox": [(1, cell_count((320, 256)), 8)],
        "nanodet": [output.shape for output in nanodet_outputs(0)],
        "fastestdet": [(1, 8, 16, 20)],
        "yolov5": [(1, 5040, 8)],
        "detr": [(1, 300, 4), (1, 300, 8)],
        "raw": [(1, 4, 8, 10), (1, 3, 8, 10)],
        "segment": [(1, 41, 100), (1, 32, 64, 80)],
    }
    assert len(decode(head, [np.full(shape, np.nan, np.float32) for shape in shapes[head]], **LOOSE)) == 0


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        pytest.param("end2end", (300, 6), id="rows of six without a batch"),
        pytest.param("end2end", (1, 84, 2100), id="classic output for end2end"),
        pytest.param("end2end", (2, 300, 6), id="batch of two"),
        pytest.param("classic", (1, 4, 2100), id="no classes"),
        pytest.param("classic", (84, 2100), id="no batch"),
        pytest.param("yolox", (1, 3549, 85), id="cells of another input size"),
        pytest.param("nanodet", (1, 1280, 5), id="one output of six"),
        pytest.param("fastestdet", (1, 85, 22, 22), id="grid of another input size"),
        pytest.param("yolov5", (1, 5040, 5), id="objectness alone"),
        pytest.param("detr", (1, 300), id="scores alone"),
    ],
)
def test_refuses_another_shape(head: Head, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=f"{head} head: expected (an )?output"):
        decode(head, [np.zeros(shape, np.float32)], **LOOSE)


def test_objectness_weighs_the_scores() -> None:
    rows = [[50, 40, 20, 10, 0.9, 0.2, 0.8], [50, 40, 20, 10, 0.35, 0.8, 0.1], [9, 9, 2, 2, 0.2, 1, 1]]
    found = decode("yolov5", [np.array([rows], np.float32)], **LOOSE)
    assert found.class_id.tolist() == [1]
    assert found.confidence == pytest.approx([0.72])
    assert found.xyxy.tolist() == [[40, 35, 60, 45]]


def test_rows_of_yolov7_with_nms() -> None:
    rows = [[0, 1, 2, 30, 40, 3, 0.5], [0, 5, 6, 7, 8, 1, 0.8], [0, 0, 0, 9, 9, 0, 0.1]]
    found = decode("end2end", [np.array(rows, np.float32)], **LOOSE)
    assert found.class_id.tolist() == [1, 3]
    assert found.confidence == pytest.approx([0.8, 0.5])
    assert found.xyxy.tolist() == [[5, 6, 7, 8], [1, 2, 30, 40]]


SHARES = np.array([[[0.5, 0.5, 0.25, 0.5], [0.1, 0.1, 0.1, 0.1]]], np.float32)  # cxcywh
PIXELS = np.array([[[120, 64, 200, 192], [16, 12.8, 48, 38.4]]], np.float32)  # the same, 320 x 256
LOGITS = np.array([[[-5, 2.0, -5], [-3, -9, -4]]], np.float32)


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


@pytest.mark.parametrize(
    ("outputs", "score"),
    [
        pytest.param([SHARES, LOGITS], sigmoid(2), id="boxes and logits"),
        pytest.param([LOGITS, SHARES], sigmoid(2), id="logits and boxes"),
        pytest.param(
            [np.array([[1, 0]], np.int64), PIXELS, np.array([[0.7, 0.2]], np.float32)], 0.7, id="a triple"
        ),
        pytest.param(
            [np.array([[0.7, 0.2]], np.float32), np.array([[1, 0]], np.int32), PIXELS],
            0.7,
            id="turned around",
        ),
        pytest.param(
            [np.concatenate((SHARES, [[[0.1, 0.7, 0], [0, 0, 0.2]]]), axis=2, dtype=np.float32)],
            0.7,
            id="scores in one output",
        ),
        pytest.param(
            [np.concatenate((SHARES, [[[0.7, 1], [0.2, 0]]]), axis=2, dtype=np.float32)],
            0.7,
            id="score and class in one output",
        ),
        pytest.param(
            [np.concatenate((SHARES, [[[0.1, 0.7], [0.05, 0.2]]]), axis=2, dtype=np.float32)],
            0.7,
            id="scores of two classes in one output",
        ),
    ],
)
def test_all_forms_of_detr_say_the_same(outputs: list[np.ndarray], score: float) -> None:
    found = decode("detr", outputs, **LOOSE)
    assert found.class_id.tolist() == [1]
    assert found.confidence == pytest.approx([score])
    assert found.xyxy == pytest.approx(PIXELS[0, :1])


def test_logits_of_four_classes_are_told_by_the_names() -> None:
    logits = np.array([[[-5, 2.0, -5, -5], [-3, -9, -4, -5]]], np.float32)
    found = decode("detr", [logits, SHARES], **LOOSE, output_names=("logits", "pred_boxes"))
    assert found.xyxy == pytest.approx(PIXELS[0, :1])
    with pytest.raises(ModelError, match=r"^detr head"):
        decode("detr", [logits, SHARES], **LOOSE, output_names=("a", "b"))


@pytest.mark.parametrize("head", ["end2end", "classic"])
def test_classes_have_their_own_minimum(head: Head) -> None:
    rows = np.array([[[0, 0, 9, 9, 0.5, 0], [50, 50, 60, 60, 0.5, 1], [80, 80, 90, 90, 0.9, 1]]], np.float32)
    if head == "classic":
        boxes, (scores, classes) = rows[0, :, :4], rows[0, :, 4:].T
        dense = np.concatenate((boxes, np.eye(3)[classes.astype(int)] * scores[:, None]), axis=1)
        rows = np.pad(dense, ((0, 100), (0, 0))).T[None].astype(np.float32)
    least = np.array([0.4, 0.6, np.inf], np.float32)
    found = decode(head, [rows], **LOOSE, class_confidence=least)
    assert found.class_id.tolist() == [1, 0]
    assert len(decode(head, [rows], **LOOSE, class_confidence=least, max_detections=1)) == 1


def test_a_class_without_a_minimum_is_refused() -> None:
    rows = np.array([[[0, 0, 9, 9, 0.5, 7]]], np.float32)
    with pytest.raises(ModelError, match=r"^returned the classes 7 to 7, but has names for 2$"):
        decode("end2end", [rows], **LOOSE, class_confidence=np.zeros(2, np.float32))


def test_outputs_of_tensorflow_are_refused() -> None:
    outputs = [np.zeros(shape, np.float32) for shape in ((1, 100, 4), (1, 100), (1, 100), (1,))]
    for head in ("detr", "nanodet"):
        with pytest.raises(ModelError, match=f"{head} head: expected outputs"):
            decode(head, outputs, **LOOSE)
    with pytest.raises(ModelError, match="nanodet head"):
        decode("nanodet", [np.zeros((), np.float32)], **LOOSE)
