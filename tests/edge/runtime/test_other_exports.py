"""Graphs as other tools export them, each with one known box."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeloop.edge.runtime.detector import Detector
from edgeloop.models.facts.overrides import SpecOverrides
from tests.calls import Outcome

SIDE = 64
NAMES = SpecOverrides(names=("car", "tram"))
IMAGE = np.zeros((32, 128, 3), np.uint8)


def export(path: Path, *, metadata: dict[str, str] | None = None, **outputs: np.ndarray) -> Path:
    """Write a graph that returns these outputs, whatever it sees."""
    nodes = [helper.make_node("Identity", [f"{name}_0"], [name]) for name in outputs]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in outputs.items()
        ],
        [numpy_helper.from_array(value, f"{name}_0") for name, value in outputs.items()],
    )
    return save(graph, path, metadata)


def save(graph: onnx.GraphProto, path: Path, metadata: dict[str, str] | None = None) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, str(path))
    return path


def test_yolov5_with_its_own_metadata(tmp_path: Path) -> None:
    rows = np.zeros((1, 252, 7), np.float32)
    rows[0, 9] = [32, 32, 32, 8, 0.9, 0.1, 1.0]
    facts = {"stride": "32", "names": "{0: 'car', 1: 'tram'}"}
    found = Detector(export(tmp_path / "v5.onnx", metadata=facts, output0=rows), provider="cpu").detect(IMAGE)
    assert found.class_id.tolist() == [1]
    assert found.confidence == pytest.approx([0.9])
    assert found.xyxy == pytest.approx(np.array([[32, 8, 96, 24]]))


def test_yolov7_with_nms_in_the_graph(tmp_path: Path) -> None:
    rows = np.array([[0, 16, 28, 48, 36, 1, 0.9]], np.float32)
    found = Detector(export(tmp_path / "v7.onnx", output=rows), provider="cpu", overrides=NAMES).detect(IMAGE)
    assert found.class_id.tolist() == [1]
    assert found.xyxy == pytest.approx(np.array([[32, 8, 96, 24]]))


def test_boxes_and_logits_of_a_stretched_image(tmp_path: Path) -> None:
    boxes = np.tile(np.array([0.5, 0.5, 0.5, 0.25], np.float32), (1, 100, 1))
    logits = np.full((1, 100, 2), -8, np.float32)
    logits[0, 3, 0] = 3
    path = export(tmp_path / "detr.onnx", logits=logits, pred_boxes=boxes)
    found = Detector(path, provider="cpu", overrides=NAMES).detect(IMAGE)
    assert found.class_id.tolist() == [0]
    assert found.xyxy == pytest.approx(np.array([[32, 12, 96, 20]]))


def sized(path: Path) -> Path:
    """A graph like RT-DETR's and D-FINE's own: its one box is the middle of the size that it is told."""
    constants = {
        "share": np.array([[0.25, 0.25, 0.75, 0.75]], np.float32),
        "labels_0": np.array([[1]], np.int64),
        "scores_0": np.array([[0.8]], np.float32),
        "shape": np.array([1, 1, 4], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["orig_target_sizes"], ["size"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["size", "size"], ["sizes"], axis=1),
        helper.make_node("Mul", ["share", "sizes"], ["box"]),
        helper.make_node("Reshape", ["box", "shape"], ["boxes"]),
        helper.make_node("Identity", ["labels_0"], ["labels"]),
        helper.make_node("Identity", ["scores_0"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sized",
        [
            helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIDE, SIDE]),
            helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["N", 2]),
        ],
        [
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["N", 1]),
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 1, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return save(graph, path)


def test_an_exporter_that_asks_for_the_size_of_the_image(
    edgeloop: Callable[..., Outcome], tmp_path: Path, image_folder: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("car\ntram\n")
    said = edgeloop("run", sized(tmp_path / "m.onnx"), image_folder / "1.png", "--json", "--names", names)
    assert said.code == 0, said.err
    (box,) = json.loads(said.out)["detections"]
    assert box["class"] == "tram"
    assert box["xyxy"] == pytest.approx([40, 30, 120, 90])
    for verb in ("inspect", "verify"):
        words = ("--names", names) if verb == "inspect" else ()
        assert edgeloop(verb, tmp_path / "m.onnx", *words).code in (0, 65)
