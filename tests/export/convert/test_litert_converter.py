"""Conversion to LiteRT: the same boxes, the ways to int8 in order, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.edge.engines.facts_file import read_facts
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import verify
from edgeloop.export.convert import litert_converter
from edgeloop.export.convert.converter import Attempt, Converted, Source
from edgeloop.export.convert.litert_converter import LitertConverter
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph.to_onnx import model_spec, to_onnx
from edgeloop.export.report.report_files import report_files
from edgeloop.models.errors import UnavailableError
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.heads import Head
from tests.calls import Outcome
from tests.export.untrained import NAMES, untrained_model

TOOLS = ("ai_edge_litert", "litert_quantizer", "onnx2tf", "sng4onnx")
needs_tools = pytest.mark.skipif(
    not all(map(find_spec, TOOLS)), reason="onnx2tf and litert-quantizer are not installed"
)


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize(
    ("task", "precision", "drift", "outputs"),
    [
        ("detect", "fp32", 1e-3, [("output0", (1, 6, 525))]),
        ("segment", "fp16", 0.02, [("output0", (1, 22, 189)), ("output1", (1, 16, 24, 24))]),
    ],
)
def test_the_file_finds_what_torch_finds(
    edgeloop: Callable[..., Outcome],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    task: str,
    precision: str,
    drift: float,
    outputs: list[tuple[str, tuple[int, ...]]],
) -> None:
    run, dataset = _run_of(task, request)
    out = tmp_path / "parts.tflite"
    done = edgeloop("export", run, "-d", dataset, "-o", out, "--target", "litert", "--precision", precision)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"next: edgeloop run {out} 0"
    report = json.loads(report_files(out).document.read_text())
    (tried,) = report["precisions"]
    assert (tried["precision"], tried["refused"], report["parity"]["matched"]) == (precision, [], 1)
    assert report["parity"]["confidence_drift"] < drift
    facts = read_facts(out, "litert")
    assert set(facts.versions) == {"onnx2tf", "litert-quantizer", "ai-edge-litert"}
    assert [(each.name, each.shape) for each in facts.outputs] == outputs
    detector = Detector(out)
    assert detector.spec.layout == "NHWC"
    assert str(detector.placement) == "litert on cpu"
    assert verify(out).golden.verdict == "identical"
    found = detector.detect(cv2.imread(str(dataset / "images/val/001.jpg")))
    assert len(found) == 1
    if task == "segment":
        assert report["masks"]["map50_95"] == pytest.approx(report["torch"]["masks"]["map50_95"], abs=0.01)
        assert found.masks is not None
        box_area = np.prod(found.xyxy[0, 2:] - found.xyxy[0, :2])
        assert (
            0.6 < found.masks.area[0] / box_area <= 1.05
        )  # a disk three quarters of its box, a bar all of it


@pytest.mark.slow
@needs_tools
def test_an_int8_file_ends_at_the_last_convolutions(
    edgeloop: Callable[..., Outcome], run: Path, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "parts.tflite"
    loose = ("--tolerance-map", 1, "--tolerance-boxes", 1)
    done = edgeloop(
        "export", run, "-d", dataset, "-o", out, "--target", "litert", "--precision", "int8", *loose
    )
    assert done.code == 0, done.err
    (tried,) = json.loads(report_files(out).document.read_text())["precisions"]
    assert tried["attempt"] == "head on the host"
    names = [output.name for output in read_facts(out, "litert").outputs]
    assert names == [f"{end}_{stride}" for stride in (8, 16, 32) for end in ("boxes", "scores")]
    assert out.stat().st_size < 5e6  # a byte for each of 3 million weights, and little else
    assert Detector(out).spec.head == "raw"
    assert verify(out).golden.verdict == "identical"
    found = [len(Detector(out).detect(cv2.imread(str(path)))) for path in _held_out(dataset)]
    assert sum(found) >= 4


@pytest.mark.slow
@needs_tools
def test_over_the_tolerance_there_is_no_file_and_all_that_was_tried_is_told(
    edgeloop: Callable[..., Outcome],
    run: Path,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    convert = LitertConverter.convert

    def too_bright(converter: LitertConverter, source: Source, attempt: Attempt) -> Converted:
        converted = convert(converter, source, attempt)
        return replace(converted, spec=converted.spec.model_copy(update={"scale": 8.0}))

    monkeypatch.setattr(LitertConverter, "convert", too_bright)
    out = tmp_path / "parts.tflite"
    done = edgeloop(
        "export", run, "-d", dataset, "-o", out, "--target", "litert", "--precision", "int8",
    )  # fmt: skip
    assert done.code == 65
    assert f"{out}: not written; the best of 3 attempts is 'int8, head on the host, first 5 " in done.err
    assert not out.exists()
    assert not facts_path(out).exists()
    tried = json.loads((tmp_path / "parts.tflite.refused.json").read_text())["precisions"]
    assert [each["attempt"] for each in tried] == [
        "head on the host", "head on the host, first 3 stages in float",
        "head on the host, first 5 stages in float",
    ]  # fmt: skip
    assert all(each["refused"] for each in tried)
    for each in tried:
        assert each["attempt"] in (tmp_path / "parts.tflite.refused.md").read_text()


@pytest.mark.slow
@needs_tools
def test_stages_stay_in_float_where_that_is_asked_for(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    from edgeloop.export.graph.cut_head import cut_head

    frames = np.random.default_rng(0).integers(0, 255, (4, 96, 96, 3), np.uint8)
    heads: tuple[Head, ...] = ("classic", "segment")
    attempts = {each.name: each for head in heads for each in LitertConverter().attempts("int8", head)}
    for number, (name, first) in enumerate(
        (
            ("head on the host", 0),
            ("head on the host, first 5 stages in float", 5),
            ("head in float, first 3 stages in float", 3),
        )
    ):
        attempt, folder = attempts[name], tmp_path / str(number)
        model = untrained_model(folder, masks=0 if attempt.raw_head else 16)
        graph, spec = to_onnx(model, (96, 96), ExportOptions()), model_spec(model, NAMES, (96, 96))
        if attempt.raw_head:
            graph, spec = cut_head(graph, spec)
        converted = LitertConverter().convert(Source(graph, spec, frames, folder), attempt)
        interpreter = Interpreter(str(converted.path))
        interpreter.allocate_tensors()
        in_bytes = [each["name"] for each in interpreter.get_tensor_details() if each["dtype"] is np.int8]
        weights = [name for name in in_bytes if name.endswith("_filter")]
        stages = [re.match(r"/backbone/stages\.(\d)/", name) for name in weights]
        assert min(int(found.group(1)) for found in stages if found) == first
        assert any(name.startswith("/head/") for name in weights)
        assert any(name.startswith("/masks/") for name in weights) != attempt.raw_head
        last = [name for name in weights if "/conv/" not in name]  # without normalization or activation
        assert len(last) == (6 if attempt.raw_head else 0)


@pytest.mark.parametrize("missing", ["onnx2tf", "litert_quantizer", "sng4onnx"])
def test_without_the_tools_the_commands_to_install_them_are_told(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(litert_converter, "find_spec", lambda name: None if name == missing else object())
    said = (
        f"--target litert: needs {missing}, which is not installed; "
        "pip install 'edgeloop[export-litert]', then "
        "pip install --no-deps --ignore-requires-python onnx2tf==2.6.9 sng4onnx==2.0.1"
    )
    with pytest.raises(UnavailableError, match=re.escape(said)):
        LitertConverter().check_tools()


def test_the_command_in_the_error_installs_what_ci_installs() -> None:
    pinned = (Path(__file__).parents[3] / "requirements" / "tools-litert.txt").read_text()
    assert re.findall(r"^(\S+==\S+)", pinned, re.MULTILINE) == ["onnx2tf==2.6.9", "sng4onnx==2.0.1"]


def _run_of(task: str, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Run that was trained for a task, and its dataset."""
    if task == "segment":
        return request.getfixturevalue("segment_report").bundle.parent / "run", request.getfixturevalue(
            "outlined"
        )
    return request.getfixturevalue("run"), request.getfixturevalue("dataset")


def _held_out(dataset: Path) -> list[Path]:
    return sorted((dataset / "images/val").glob("*.jpg"))
