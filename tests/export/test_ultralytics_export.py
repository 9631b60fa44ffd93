"""Exports of ultralytics' detectors, and ultralytics on bundles of ours."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from ultralytics import YOLO

from edgeloop.edge.runtime.detector import Detector
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.export_run import warn_about_activation
from edgeloop.export.graph.graph_io import save_graph
from edgeloop.export.graph.ort_layout import channels_last
from edgeloop.export.graph.stages import decoding_nodes
from edgeloop.export.graph.to_onnx import model_spec, to_onnx
from edgeloop.export.quantize.activation_ranges import calibrate
from edgeloop.export.quantize.convert import to_int8
from edgeloop.export.report.export_report import ExportReport
from edgeloop.export.train_options import Activation
from edgeloop.export.ultralytics.build_detector import build_detector
from edgeloop.export.ultralytics.load_checkpoint import export_form
from edgeloop.models.bundle.golden import golden_image
from edgeloop.models.errors import UsageError
from tests.export.graphs import SIDE, check_cuts, kinds, run


def test_yolo_predict_finds_the_same_boxes(report: ExportReport, dataset: Path) -> None:
    detector, yolo = Detector(report.bundle), YOLO(report.bundle, task="detect")
    boxes = 0
    for path in sorted((dataset / "images/val").glob("*.jpg")):
        image = cv2.imread(str(path))
        ours = detector.detect(image)
        (theirs,) = yolo.predict(image, conf=0.25, iou=detector.spec.iou, verbose=False)
        np.testing.assert_allclose(ours.xyxy, theirs.boxes.xyxy.numpy(), atol=0.01)
        np.testing.assert_allclose(ours.confidence, theirs.boxes.conf.numpy(), atol=1e-5)
        np.testing.assert_array_equal(ours.class_id, theirs.boxes.cls.numpy().astype(int))
        boxes += len(ours)
    assert boxes >= 4


def test_yolo_predict_draws_the_same_masks(segment_report: ExportReport, outlined: Path) -> None:
    detector, yolo = Detector(segment_report.bundle), YOLO(segment_report.bundle, task="segment")
    image = cv2.imread(str(outlined / "images/val/005.jpg"))
    ours = detector.detect(image)
    (theirs,) = yolo.predict(image, conf=0.25, iou=detector.spec.iou, verbose=False, retina_masks=True)
    np.testing.assert_allclose(ours.xyxy, theirs.boxes.xyxy.numpy(), atol=0.01)
    assert ours.masks is not None
    assert len(ours) == 2
    for one, other in zip(ours.masks.to_array(), theirs.masks.data.numpy() > 0.5, strict=True):
        assert (one & other).sum() > 0.9 * (one | other).sum()


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["silu", "relu"])
def test_an_end_to_end_head_is_exported_as_one(tmp_path: Path, activation: Activation) -> None:
    names = ("disk", "bar")
    model = export_form(build_detector("yolo26n", None, names, seed=0, activation=activation), end2end=True)
    spec = model_spec(model, names, (96, 96))
    bundle = tmp_path / "yolo26n.onnx"
    save_graph(to_onnx(model, (96, 96), ExportOptions()), spec.to_metadata(), bundle)
    detector = Detector(bundle, provider="cpu")
    assert detector.spec.head == "end2end"
    assert any(node.op_type == "Relu" for node in onnx.load(bundle).graph.node) == (activation == "relu")
    prepared = detector.preprocess(golden_image((96, 96)))
    (actual,) = detector.infer(prepared)
    with torch.inference_mode():
        expected = model.module(torch.from_numpy(prepared.tensor)).numpy()
    assert actual.shape == (1, 189, 6)
    np.testing.assert_allclose(actual[0, :, 4], expected[0, :, 4], atol=1e-5)


def test_the_classic_head_of_an_end_to_end_detector_can_be_had() -> None:
    assert export_form(build_detector("yolo26n", None, ["a"], seed=0), end2end=False).head == "classic"
    with pytest.raises(UsageError, match="this detector has the classic head alone"):
        export_form(build_detector("yolov8n", "none", ["a"], seed=0), end2end=True)


@pytest.mark.slow
def test_cut_convolutions_become_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_cuts(export_form(build_detector("yolo26n", "none", ["a", "b"], seed=0)), 9, tmp_path, monkeypatch)


@pytest.mark.slow
def test_an_end_to_end_head_is_quantized_up_to_its_decoding(tmp_path: Path) -> None:
    detector = build_detector("yolo26n", "none", ["a", "b"], seed=0, activation="relu")
    for module in detector.modules():
        if isinstance(module, torch.nn.Conv2d):  # fresh weights let hardly anything through
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    model = export_form(detector, end2end=True)
    graph = to_onnx(model, (SIDE, SIDE), ExportOptions())
    save_graph(graph, model_spec(model, ("a", "b"), (SIDE, SIDE)).to_metadata(), tmp_path / "float.onnx")
    picture = np.random.default_rng(6).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    ranges = calibrate(Detector(tmp_path / "float.onnx", provider="cpu"), [picture], "minmax")
    decoding = decoding_nodes(graph.graph)
    plain = to_int8(graph, ranges, decoding)
    changed = channels_last(plain)
    onnx.checker.check_model(changed, full_check=True)
    assert {"TopK", "Sigmoid"} <= {node.op_type for node in plain.graph.node if node.name in decoding}
    assert kinds(changed)["MatMul"] == kinds(plain)["MatMul"] + 6  # boxes and classes at three strides
    image = np.random.default_rng(7).random((1, 3, SIDE, SIDE), np.float32)
    in_float, in_bytes, rewritten = (
        np.sort(run(each, image, tmp_path)[0, :, 4]) for each in (graph, plain, changed)
    )
    assert in_float.std() > 0.3
    np.testing.assert_allclose(in_bytes, in_float, atol=0.2)
    np.testing.assert_allclose(rewritten, in_bytes, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "name", "warned"),
    [("silu", "rknn", True), ("silu", "openvino", False), ("relu", "rknn", False)],
)
def test_an_activation_that_hurts_is_one_line(
    activation: Activation, name: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model = export_form(build_detector("yolo26n", "none", ["a"], seed=0, activation=activation))
    caplog.clear()  # ultralytics logs what it builds
    with caplog.at_level(logging.WARNING):
        warn_about_activation(name, model)
    assert len(caplog.messages) == warned
    if warned:
        assert caplog.messages[0].startswith("--target rknn: Rockchip's own forks of YOLO replace SiLU with")
        assert caplog.messages[0].endswith("; train one with --activation relu")
