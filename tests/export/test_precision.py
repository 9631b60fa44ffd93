from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from edgeloop.edge.engines.session import Session
from edgeloop.edge.runtime.detector import Detector
from edgeloop.export.candidates import Bundle, make_bundles
from edgeloop.export.commands import export as export_command
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.exporter import export_bundle
from edgeloop.export.graph.graph_io import save_graph, with_image_input
from edgeloop.export.quantize import search
from edgeloop.export.quantize.activation_ranges import training_frames
from edgeloop.export.report.export_report import ExportReport
from edgeloop.models.bundle.document import read_document
from edgeloop.models.errors import DataError, ModelError
from edgeloop.models.letterbox import Letterbox

# Eight frames with two objects each: one box is much of them.
LENIENT = ExportOptions(tolerance_map=0.1, tolerance_boxes=0.2)


@pytest.fixture(autouse=True, scope="module")
def _no_search() -> Iterator[None]:
    """What stays in float is tested in test_search.py; with a real detector it takes a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_GOOD_ENOUGH", 1.0)
        patch.setattr(search, "_LEADING", 1)
        yield


@pytest.fixture(scope="module")
def bundles() -> dict[str, Bundle]:
    """What `auto` chose from, by precision."""
    return {}


@pytest.fixture(scope="module")
def auto(
    _slow: None,
    run: Path,
    dataset: Path,
    bundles: dict[str, Bundle],
    tmp_path_factory: pytest.TempPathFactory,
) -> ExportReport:
    def noting(*arguments: Any) -> list[Bundle]:
        made = make_bundles(*arguments)
        bundles.update({each.precision: each for each in made})
        return made

    out = tmp_path_factory.mktemp("auto") / "parts.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgeloop.export.export_run.make_bundles", noting)
        return export_bundle(run, dataset, out, replace(LENIENT, precision="auto"))


@pytest.mark.slow
def test_auto_takes_the_fastest_that_passes(auto: ExportReport) -> None:
    assert [candidate.precision for candidate in auto.candidates] == ["fp32", "fp16", "int8"]
    passed = [candidate for candidate in auto.candidates if not candidate.reasons]
    assert len(passed) == 3
    assert auto.chosen is min(passed, key=lambda candidate: candidate.measurement.latency_ms)
    document = read_document(Session(auto.bundle, provider="cpu").metadata)
    assert document is not None
    assert document.record.precision == auto.chosen.precision


def test_int8_finds_what_float_finds(auto: ExportReport) -> None:
    torch, (fp32, fp16, int8) = auto.reference, (each.measurement for each in auto.candidates)
    assert fp32.parity.matched == fp16.parity.matched == 1
    assert int8.parity.matched >= 0.8
    assert int8.scores.map50 > 0.6
    assert abs(fp32.scores.map50_95 - torch.scores.map50_95) < 1e-3
    assert int8.bytes < 0.4 * fp32.bytes
    assert 0.4 * fp32.bytes < fp16.bytes < 0.6 * fp32.bytes


def test_layers_drift_more_in_fewer_bits(auto: ExportReport) -> None:
    fp32, fp16, int8 = (dict(each.layers) for each in auto.candidates)
    assert not fp32
    assert list(fp16) == list(int8)
    assert {"backbone/stages.1", "neck/top_down_16", "head/scores.0", "decoding"} <= int8.keys()
    quantization = auto.candidates[2].quantization
    assert quantization is not None
    drifts = {stage: (fp16[stage], int8[stage]) for stage in int8 if stage not in quantization.first}
    assert not {stage: drift for stage, drift in drifts.items() if not 0 < drift[0] < drift[1] < 1}


def test_the_report_holds_every_precision(auto: ExportReport) -> None:
    written = json.loads(auto.bundle.with_suffix(".json").read_text())
    assert written["refused"] == []
    assert [each["precision"] for each in written["precisions"]] == ["fp32", "fp16", "int8"]
    assert written["quantization"]["tuning_frames"] == 6
    assert written["quantization"]["decoding"] > 20
    assert all(len(written[f"{what}_sha256"]) == 64 for what in ("model", "dataset", "checked_on"))
    card = auto.bundle.with_suffix(".md").read_text()
    for part in ("| fp16 |", "| bar |", "Apache-2.0", "parts.worst.jpg", written["sha256"], "In float: the "):
        assert part in card
    assert cv2.imread(str(auto.bundle.with_name("parts.worst.jpg"))).shape[1] == 1280


@pytest.mark.slow
@pytest.mark.usefixtures("auto")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_both_forms_of_input_find_the_same(
    precision: str, bundles: dict[str, Bundle], dataset: Path, tmp_path: Path
) -> None:
    bundle = bundles[precision]
    graph, spec = with_image_input(bundle.graph, bundle.spec)
    for name, one, how in (("tensor", bundle.graph, bundle.spec), ("image", graph, spec)):
        onnx.checker.check_model(one)
        save_graph(one, how.to_metadata(), tmp_path / f"{name}.onnx")
    tensor, image = (Detector(tmp_path / f"{name}.onnx", provider="cpu") for name in ("tensor", "image"))
    assert (image.spec.layout, image.spec.dtype, image.spec.color) == ("NHWC", "uint8", "BGR")
    boxes = 0
    for path in sorted((dataset / "images/val").glob("*.jpg")):
        frame = cv2.imread(str(path))
        expected, actual = tensor.detect(frame), image.detect(frame)
        np.testing.assert_allclose(actual.xyxy, expected.xyxy, atol=1e-3)
        np.testing.assert_allclose(actual.confidence, expected.confidence, atol=1e-5)
        boxes += len(expected)
    assert boxes >= 4


@pytest.mark.slow
def test_images_of_any_number_through_the_command(
    report: ExportReport, run: Path, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "image.onnx"
    arguments = [str(run), "-d", str(dataset), "-o", str(out), "--input", "image", "--batch", "dynamic"]
    result = CliRunner().invoke(export_command, arguments)
    assert result.exit_code == 0, result.output
    assert "fp32" in result.stderr
    assert "100.00% of torch's" in result.stdout
    detector, plain = Detector(out, provider="cpu"), Detector(report.bundle, provider="cpu")
    session = Session(out, provider="cpu")
    assert session.inputs[0].shape == (None, 160, 160, 3)
    images = [cv2.imread(str(path)) for path in sorted((dataset / "images/val").glob("*.jpg"))[:3]]
    for image in images:
        np.testing.assert_allclose(detector.detect(image).xyxy, plain.detect(image).xyxy, atol=1e-3)
    letterbox = Letterbox.fit((160, 120), (160, 160))
    (together,) = session.run(np.stack([letterbox.apply(image) for image in images]))
    assert together.shape[0] == 3
    (alone,) = detector.infer(detector.preprocess(images[2]))
    np.testing.assert_allclose(together[2], alone[0], atol=1e-2)


@pytest.mark.slow
def test_a_broken_bundle_is_refused_with_a_report(
    run: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "decoding_nodes", lambda _graph: [])  # the head is quantized as well
    monkeypatch.setattr(search, "METHODS", ("minmax",))
    out = tmp_path / "x.onnx"
    (tmp_path / "x.refused.json").write_text("of an earlier refusal")
    with pytest.raises(
        ModelError, match=r"x\.onnx: not written; int8 .* class '(disk|bar)'.*x\.refused\.md"
    ) as caught:
        export_bundle(run, dataset, out, ExportOptions(precision="int8"))
    assert caught.value.exit_code == 65
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "x.refused.json", "x.refused.md", "x.refused.worst.jpg",
    ]  # fmt: skip
    written = json.loads((tmp_path / "x.refused.json").read_text())
    assert written["sha256"] is None
    assert written["refused"]
    int8 = next(each for each in written["precisions"] if each["precision"] == "int8")
    assert max(int8["layers"], key=int8["layers"].get) == "decoding"
    card = (tmp_path / "x.refused.md").read_text()
    assert "**Refused: no bundle was written.**" in card
    assert "| decoding |" in card


def test_int8_needs_images_to_calibrate_on(dataset: Path) -> None:
    data = open_dataset(dataset)
    frames = training_frames(data)
    assert (len(frames.calibration), len(frames.tuning)) == (26, 6)
    with pytest.raises(DataError, match="4 images to train on; int8 needs 5 or more"):
        training_frames(replace(data, train=data.train[:4]))
