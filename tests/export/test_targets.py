from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import verify
from edgeloop.export import candidates
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph.stages import decoding_nodes
from edgeloop.export.quantize.activation_ranges import Frames, calibrate
from edgeloop.export.quantize.convert import to_int8
from edgeloop.export.targets import TARGETS, next_step, options_for
from edgeloop.export.train.run_record import write_record
from edgeloop.models.errors import UsageError
from tests.calls import Outcome
from tests.export.untrained import record_of
from tests.marks import needs_openvino

DOCS = (Path(__file__).parents[2] / "docs" / "targets.md").read_text()


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_consistent_and_says_where_its_facts_come_from(name: str) -> None:
    target = TARGETS[name]
    options = options_for(name, {})
    assert (options.target, options.opset, options.precision) == (name, target.opset, target.precision)
    assert options.end2end is (None if target.end2end else False)
    assert target.opset in target.opsets
    assert target.precision in target.precisions
    assert target.sources
    out = Path("x").with_suffix(target.suffix)
    assert str(out) in next_step(name, out)


@pytest.mark.parametrize("name", TARGETS)
def test_the_documentation_says_the_same(name: str) -> None:
    row = next(line for line in DOCS.splitlines() if line.startswith(f"| `{name}` "))
    target = TARGETS[name]
    _, _, opset, precision, form, head, *_ = (cell.strip() for cell in row.strip("|").split("|"))
    assert (int(opset), precision, form) == (target.opset, target.precision, target.input)
    assert head == ("as trained" if target.end2end else "host" if target.raw_head else "classic")
    assert all(f"`{chip}`" in DOCS for chip in target.chips)
    assert ("ReLU" in row) == bool(target.silu)
    for url in target.sources:
        assert url in DOCS


def test_the_readme_and_the_help_list_them() -> None:
    from edgeloop.export.commands import export

    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (option,) = [option for option in export.params if option.name == "target"]
    for name in TARGETS:
        assert f"`{name}`" in readme
        assert re.search(rf"\b{name}\b", getattr(option, "help", ""))


def test_an_explicit_option_wins_where_there_is_a_choice() -> None:
    options = options_for("cpu", {"precision": "fp32", "imgsz": 224, "end2end": False, "opset": 17})
    assert options == ExportOptions(
        precision="fp32", imgsz=224, end2end=False, opset=17, input="image", target="cpu"
    )


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("rknn", {"opset": 20}, "rknn: cannot take --opset 20, it takes 12 to 19; see docs/targets.md"),
        ("qnn", {"precision": "fp32"}, "cannot take --precision fp32, it takes int8"),
        ("tensorrt", {"precision": "int8"}, "cannot take --precision int8, it takes fp32 or fp16"),
        ("hailo", {"dynamic_batch": True}, "cannot take a dynamic batch, it needs one that is fixed"),
        ("coreml", {"end2end": True}, "cannot take an end-to-end head, it takes the classic one"),
        ("rknn", {"chip": "rk3399"}, "cannot take --chip rk3399, it takes rk3588 or rk3576 or rk3568"),
        ("cpu", {"chip": "rk3588"}, "cpu: cannot take --chip rk3588, it takes none"),
        ("abacus", {}, "--target abacus: unknown, expected one of cpu, openvino, tensorrt"),
    ],
)
def test_what_a_target_cannot_take_is_a_usage_error(name: str, given: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        options_for(name, given)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_masks_or_refuses_before_any_work(
    name: str, edgeloop: Callable[..., Outcome], tmp_path: Path
) -> None:
    write_record(record_of().model_copy(update={"task": "segment"}), tmp_path)
    out = tmp_path / f"x{TARGETS[name].suffix}"
    done = edgeloop("export", tmp_path, "-d", tmp_path / "none", "-o", out, "--target", name)
    (said,) = done.err.splitlines()
    if name in ("cpu", "openvino", "tensorrt", "coreml", "ncnn", "litert"):
        assert (done.code, "best.safetensors: no such file" in said) == (66, True)
    else:
        assert done.code == 2
        assert f"--target {name}: cannot take a segmentation model, it takes detectors alone" in said
        assert said.endswith(
            "no --target, or cpu, openvino, tensorrt, coreml, ncnn, litert; see docs/targets.md"
        )


@pytest.mark.slow
def test_the_report_and_the_last_line_say_what_to_run_next(
    edgeloop: Callable[..., Outcome], run: Path, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "parts.onnx"
    done = edgeloop("export", run, "-d", dataset, "-o", out, "--target", "hailo", "--chip", "hailo8l")
    assert done.code == 0, done.err
    command = "hailo parser onnx {} --hw-arch hailo8l"
    assert done.out.splitlines()[-1] == "next: " + command.format(out)
    report = json.loads(out.with_suffix(".json").read_text())
    assert (report["target"], report["chip"]) == ("hailo", "hailo8l")
    assert report["next_step"] == command.format("parts.onnx")
    assert Detector(out, provider="cpu").spec.head == "raw"
    frames = np.load(out.with_suffix(".npy"))
    assert (frames.shape[1:], frames.dtype) == ((160, 160, 3), np.uint8)
    assert onnx.load(out).opset_import[0].version == 11
    assert verify(out, provider="cpu").golden.verdict == "identical"


@needs_openvino
def test_openvino_finds_the_same_boxes(
    edgeloop: Callable[..., Outcome], run: Path, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "parts.onnx"
    done = edgeloop("export", run, "-d", dataset, "-o", out, "--target", "openvino")
    assert done.code == 0, done.err
    assert done.out.endswith(f"next: edgeloop run {out} 0 --provider openvino\n")
    verified = edgeloop("verify", out, "--provider", "openvino")
    assert verified.code == 0, verified.err
    assert "openvino, 100 % of nodes" in verified.out
    ours, theirs = Detector(out, provider="cpu"), Detector(out, provider="openvino")
    boxes = 0
    for path in sorted((dataset / "images/val").glob("*.jpg")):
        image = cv2.imread(str(path))
        expected, actual = ours.detect(image), theirs.detect(image)
        np.testing.assert_allclose(actual.xyxy, expected.xyxy, atol=0.05)
        np.testing.assert_allclose(actual.confidence, expected.confidence, atol=1e-3)
        np.testing.assert_array_equal(actual.class_id, expected.class_id)
        boxes += len(expected)
    assert boxes >= 4


@needs_openvino
@pytest.mark.slow
def test_openvino_int8_has_further_attempts(
    edgeloop: Callable[..., Outcome],
    run: Path,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def spoiled(graph: onnx.ModelProto, bundle: Detector, frames: Frames, **_: object) -> object:
        ranges = calibrate(bundle, frames.calibration, "minmax")
        wide = {name: (100 * low, 100 * high) for name, (low, high) in ranges.items()}
        return to_int8(graph, wide, decoding_nodes(graph.graph)), None

    monkeypatch.setattr(candidates, "search_int8", spoiled)
    out = tmp_path / "parts.onnx"
    lenient = ("--tolerance-boxes", 0.2, "--tolerance-map", 0.1)
    done = edgeloop(
        "export", run, "-d", dataset, "-o", out, "--target", "openvino", "--precision", "int8", *lenient
    )
    assert done.code == 0, done.err
    report = json.loads(out.with_suffix(".json").read_text())
    attempts = [each["attempt"] for each in report["precisions"]]
    assert attempts == ["", "", "ranges by percentile, the first 2 stages and the head in float"]
    first, further = report["precisions"][1:]
    assert first["refused"]
    assert not further["refused"]
    assert (report["precision"], report["parity"]) == ("int8", further["parity"])
    assert further["latency_ms"] > 0
    quantized = {
        node.input[0].removesuffix("_DequantizeLinear_Output")
        for node in onnx.load(out).graph.node
        if node.op_type == "Conv" and node.input[0].endswith("_DequantizeLinear_Output")
    }
    assert any("neck" in name for name in quantized)
    assert not any(f"/{stage}/" in name for name in quantized for stage in ("backbone/stages.0", "head"))
