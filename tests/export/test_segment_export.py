"""Segmentation models from the run to the bundle and what it finds."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from pycocotools import mask as rle

from edgeloop.edge.runtime.detector import Detector
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph.ort_layout import channels_last
from edgeloop.export.graph.stages import decoding_nodes, stage_errors
from edgeloop.export.graph.to_onnx import model_spec, to_onnx
from edgeloop.export.quantize.activation_ranges import measure_ranges
from edgeloop.export.quantize.convert import to_fp16, to_int8
from edgeloop.export.report.export_report import ExportReport
from edgeloop.export.train.load_trained import load_trained
from edgeloop.export.train.run_record import read_record
from edgeloop.models.errors import DataError
from tests.calls import Outcome
from tests.export.heads import run_graph
from tests.export.untrained import NAMES, untrained_run

SIDE, MASKS = 64, 16


@pytest.mark.slow
def test_every_precision_has_both_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = untrained_run(tmp_path / "run", masks=MASKS)
    model = load_trained(run, read_record(run))
    assert model_spec(model, NAMES, (SIDE, SIDE)).head == "segment"
    graph = to_onnx(model, (SIDE, SIDE), ExportOptions())
    onnx.save(graph, tmp_path / "float.onnx")
    image = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    ranges = measure_ranges(tmp_path / "float.onnx", [image], "minmax")
    handlers: list[logging.Handler] = []
    with monkeypatch.context() as bare:
        bare.setattr(logging.getLogger(), "handlers", handlers)
        in_bytes = to_int8(graph, ranges, decoding_nodes(graph.graph))
    assert not handlers  # nothing that is logged from now on is written twice
    expected = run_graph(graph, image)
    assert [each.shape for each in expected] == [(1, 4 + 2 + MASKS, 84), (1, MASKS, 16, 16)]
    for changed, tolerance in ((to_fp16(graph), 0.01), (in_bytes, 0.3), (channels_last(in_bytes), 0.3)):
        onnx.checker.check_model(changed, full_check=True)
        assert [output.name for output in changed.graph.output] == ["output0", "output1"]
        for found, truth in zip(run_graph(changed, image), expected, strict=True):
            assert (found.shape, found.dtype) == (truth.shape, np.float32)
            assert 0 < np.linalg.norm(found - truth) < tolerance * np.linalg.norm(truth)
    errors = stage_errors(graph, in_bytes, [image], "segment")
    assert list(errors)[-2:] == ["decoding", "prototypes"]
    assert all(0 < errors[stage] < 0.3 for stage in ("masks/coarse", "decoding", "prototypes"))


def test_weights_without_masks_are_no_run_of_masks(tmp_path: Path) -> None:
    run = untrained_run(tmp_path)
    record = read_record(run).model_copy(update={"task": "segment"})
    with pytest.raises(DataError, match=r"names the task segment, best\.safetensors has the head classic"):
        load_trained(run, record)


def test_masks_are_part_of_the_gate_and_of_the_report(segment_report: ExportReport) -> None:
    measurement, torch = segment_report.measurement, segment_report.reference
    assert measurement.parity.boxes >= 4
    assert (measurement.parity.matched, measurement.parity.other_masks) == (1, 0)
    assert measurement.mask_scores is not None
    assert torch.mask_scores is not None
    assert measurement.mask_scores.map50 > 0.6
    assert measurement.mask_scores.map50_95 == pytest.approx(torch.mask_scores.map50_95, abs=1e-3)
    measured = segment_report.record.measured
    assert measured.mask_map50_95 == measurement.mask_scores.map50_95
    written = json.loads(segment_report.bundle.with_suffix(".json").read_text())
    assert written["masks"]["map50_95"] == measured.mask_map50_95
    assert set(written["torch"]["masks"]["per_class"]) == set(NAMES)
    card = segment_report.bundle.with_suffix(".md").read_text()
    for part in ("a segmentation model of 2 classes", "| mAP50-95 | mask mAP50-95 |", "## Masks, fp32"):
        assert part in card
    detector = Detector(segment_report.bundle, provider="cpu")
    assert (detector.spec.head, detector.spec) == ("segment", segment_report.spec)


def test_an_exported_bundle_writes_outlines(
    segment_report: ExportReport, edgeloop: Callable[..., Outcome], outlined: Path
) -> None:
    done = edgeloop("run", segment_report.bundle, outlined / "images/val", "--json")
    assert done.code == 0, done.err
    frames = [json.loads(line) for line in done.out.splitlines()]
    shown = [found for frame in frames for found in frame["detections"]]
    assert len(shown) >= 4
    for found in shown:
        (x1, y1, x2, y2), points = found["xyxy"], np.reshape(found["segments"][0], (-1, 2))
        assert (points.min(axis=0) >= (x1 - 1, y1 - 1)).all()
        assert (points.max(axis=0) <= (x2 + 1, y2 + 1)).all()
        # A bar fills its box, a disk three quarters of it.
        area = rle.area(rle.frPyObjects(found["segments"], 120, 160)).sum() / ((x2 - x1) * (y2 - y1))
        assert 0.6 < area < 1
