from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import verify
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.exporter import export_bundle
from edgeloop.export.network.compact_detector import CompactDetector
from edgeloop.export.network.detector_weights import write_detector
from edgeloop.export.report.export_report import ExportReport
from edgeloop.models.bundle.document import read_document
from edgeloop.models.errors import DataError, ModelError, NoInputError, UsageError
from edgeloop.models.facts.overrides import SpecOverrides


@pytest.mark.slow
def test_onnxruntime_repeats_torch(report: ExportReport) -> None:
    parity = report.measurement.parity
    assert parity.frames == 8
    assert parity.boxes >= 4
    assert parity.matched == 1
    assert parity.confidence_drift < 1e-3
    assert report.measurement.scores.map50 > 0.6


def test_the_bundle_explains_itself(report: ExportReport) -> None:
    detector = Detector(report.bundle)
    assert detector.names == ("disk", "bar")
    assert detector.spec.input_size == (160, 160)
    assert (detector.spec.head, detector.spec.iou) == ("classic", 0.5)
    graph = onnx.load(report.bundle)
    assert graph.opset_import[0].version == 13
    (image,), (output,) = graph.graph.input, graph.graph.output
    assert [axis.dim_value for axis in image.type.tensor_type.shape.dim] == [1, 3, 160, 160]
    assert [axis.dim_value for axis in output.type.tensor_type.shape.dim] == [1, 6, 525]
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    assert metadata["names"] == "{0: 'disk', 1: 'bar'}"
    assert metadata["license"].startswith("Apache-2.0")
    document = read_document(metadata)
    assert document is not None
    assert document.record == report.record
    assert document.record.measured.parity == 1


def test_the_golden_sample_comes_out_again(report: ExportReport) -> None:
    found = verify(report.bundle, provider="cpu")
    assert (found.sealed, found.opset, found.schema_version) == (True, 13, 3)
    assert found.golden.verdict == "identical"
    assert found.exported_latency_ms == report.measurement.latency_ms
    golden = report.record.golden
    assert golden is not None
    assert len(golden.rows) == 32


def test_the_report_is_beside_the_bundle(report: ExportReport) -> None:
    written = json.loads(report.bundle.with_suffix(".json").read_text())
    assert written["sha256"] == hashlib.sha256(report.bundle.read_bytes()).hexdigest()
    assert written["parity"]["matched"] == 1
    assert set(written["per_class"]) == {"disk", "bar"}
    assert written["dataset_sha256"] == report.record.dataset_sha256
    assert sorted(path.name for path in report.bundle.parent.iterdir()) == [
        "parts.json", "parts.md", "parts.onnx", "parts.worst.jpg",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_input_can_have_another_size(run: Path, dataset: Path, tmp_path: Path) -> None:
    report = export_bundle(run, dataset, tmp_path / "wide.onnx", ExportOptions(imgsz=192))
    assert Detector(report.bundle).spec.input_size == (192, 192)


@pytest.mark.slow
def test_the_bundle_carries_what_to_report(run: Path, dataset: Path, tmp_path: Path) -> None:
    settings = SpecOverrides(classes=("1",), class_confidence={"bar": 0.4}, min_size=9.0, tile=640)
    with pytest.raises(UsageError, match="no class 'tram'"):
        export_bundle(
            run, dataset, tmp_path / "x.onnx", ExportOptions(settings=SpecOverrides(classes=("tram",)))
        )
    report = export_bundle(run, dataset, tmp_path / "x.onnx", ExportOptions(settings=settings))
    assert report.measurement.parity.matched == 1  # of all classes
    spec = Detector(report.bundle).spec
    assert spec == report.spec
    assert (spec.classes, spec.class_scores[1], spec.min_size, spec.tile) == (("bar",), 0.4, 9.0, 640)


@pytest.mark.slow
def test_files_that_exist_are_kept_unless_told(run: Path, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.onnx"
    out.write_text("mine")
    with pytest.raises(DataError, match=r"x\.onnx: exists; .*--overwrite"):
        export_bundle(run, dataset, out)
    assert out.read_text() == "mine"
    export_bundle(run, dataset, out, ExportOptions(overwrite=True))
    assert Detector(out).names == ("disk", "bar")
    with pytest.raises(DataError, match=r"x\.onnx: exists"):
        export_bundle(run, dataset, out)


def test_exemplars_of_the_same_name_are_never_replaced(run: Path, dataset: Path, tmp_path: Path) -> None:
    mine = tmp_path / "x.json"
    mine.write_text('{"images": [], "annotations": [], "categories": []}')
    for options in (ExportOptions(), ExportOptions(overwrite=True)):
        with pytest.raises(DataError, match=r"x\.json: is no report of an export"):
            export_bundle(run, dataset, tmp_path / "x.onnx", options)
    assert list(tmp_path.iterdir()) == [mine]


def test_says_what_is_wrong_with_a_run(run: Path, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.onnx"
    with pytest.raises(NoInputError, match="gone: no such folder"):
        export_bundle(tmp_path / "gone", dataset, out)
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    weights = copy / "best.safetensors"
    weights.unlink()
    with pytest.raises(NoInputError, match=r"best\.safetensors: no such file"):
        export_bundle(copy, dataset, out)
    weights.write_bytes((run / weights.name).read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"best\.safetensors: not a readable safetensors file"):
        export_bundle(copy, dataset, out)
    write_detector(CompactDetector(3), ("a", "b", "c"), weights)
    with pytest.raises(DataError, match=r"run\.json names 2 classes, best\.safetensors has 3"):
        export_bundle(copy, dataset, out)
    with pytest.raises(UsageError, match="this detector has the classic head alone"):
        export_bundle(run, dataset, out, ExportOptions(end2end=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_says_what_is_wrong_with_the_dataset(run: Path, dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    for label in (copy / "labels/val").iterdir():
        label.write_text("")
    with pytest.raises(DataError, match="no object in its validation part"):
        export_bundle(run, copy, tmp_path / "x.onnx")
    config = copy / "data.yaml"
    config.write_text(config.read_text().replace("disk", "coin"))
    with pytest.raises(DataError, match="its classes are coin, bar; the run learned disk, bar"):
        export_bundle(run, copy, tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("out", "settings", "message"),
    [
        ("x.pt", {}, r"-o \S*x.pt: expected a file that ends in .onnx"),
        ("x.onnx", {"imgsz": 100}, "--imgsz 100: expected a multiple of 32"),
        ("x.onnx", {"opset": 10}, "--opset 10: expected 11 to 20"),
        ("x.onnx", {"tolerance_boxes": 2}, "--tolerance-boxes 2: expected 0 to 1"),
    ],
)
def test_refuses_arguments_that_make_no_sense(
    out: str, settings: dict[str, Any], message: str, run: Path, dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        export_bundle(run, dataset, tmp_path / out, ExportOptions(**settings))


def test_the_bundle_knows_its_training_frames(report: ExportReport) -> None:
    known = report.record.frames
    assert known is not None
    assert (known.frames, known.held_out) == (32, 8)
    assert 0 < known.usual < known.limit
    assert Detector(report.bundle).frames == known
