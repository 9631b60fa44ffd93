"""Conversion for Qualcomm's NPUs, checked in the emulation of them where its package is installed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeloop.edge.engines.accelerators.qnn_plugin import has_plugin, is_emulated
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import verify
from edgeloop.export import convert_bundles, export_run
from edgeloop.export.convert import qnn_converter
from edgeloop.export.convert.converter import Attempt, Source
from edgeloop.export.convert.qnn_converter import QnnConverter
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.export_run import _held_out
from edgeloop.export.graph.cut_head import cut_head
from edgeloop.export.targets import TARGETS, Target
from edgeloop.models.errors import UnavailableError
from tests.calls import Outcome
from tests.export.conftest import write_dataset
from tests.export.heads import classic_graph, run_graph
from tests.export.untrained import untrained_model, untrained_run

SIDE = 96
ATTEMPTS = QnnConverter().attempts("int8", "classic")
needs_plugin = pytest.mark.skipif(not has_plugin(), reason="no onnxruntime-qnn: pip install 'edgeloop[qnn]'")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Detector with its head, and frames."""
    folder = tmp_path_factory.mktemp("source")
    graph, spec = classic_graph(untrained_model(folder), (SIDE, SIDE))
    frames = np.random.default_rng(0).integers(0, 255, (6, SIDE, SIDE, 3), np.uint8)
    return Source(graph, spec, frames, folder)


@pytest.fixture
def convert(
    whole: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Attempt], tuple[Source, Path]]:
    """Convert the detector as an attempt says, with or without the package."""
    monkeypatch.setattr(qnn_converter, "has_plugin", lambda: True)
    monkeypatch.setattr(qnn_converter, "version", lambda _: "9.9")

    def run(attempt: Attempt) -> tuple[Source, Path]:
        graph, spec = cut_head(whole.graph, whole.spec) if attempt.raw_head else (whole.graph, whole.spec)
        source = Source(graph, spec, whole.frames, tmp_path)
        return source, QnnConverter().convert(source, attempt).path

    return run


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_weights_have_8_bits_and_activations_what_the_attempt_says(
    convert: Callable[[Attempt], tuple[Source, Path]], attempt: Attempt
) -> None:
    source, path = convert(attempt)
    model = onnx.load(path)
    assert {entry.key for entry in model.metadata_props} >= {"edgeloop", "edgeloop.sha256"}
    assert [each.name for each in model.graph.output] == [each.name for each in source.graph.graph.output]
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    bits: dict[str, set[type]] = {"stages.0": set(), "stages.6": set()}
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        scaled, weights = makers[node.input[0]], makers[node.input[1]]
        assert constants[weights.input[0]].dtype == np.int8
        assert constants[weights.input[1]].shape == (len(constants[weights.input[0]]),)
        for stage in bits:
            if f"/{stage}/" in node.name or f"backbone/{stage}" in node.name:
                bits[stage].add(constants[scaled.input[2]].dtype.type)
    wide, narrow = {np.uint16}, {np.uint8}
    first = wide if attempt.settings["bits"] == "16" or attempt.settings["leading"] != "0" else narrow
    assert bits == {"stages.0": first, "stages.6": wide if attempt.settings["bits"] == "16" else narrow}


def test_16_bits_compute_what_the_graph_computes(
    convert: Callable[[Attempt], tuple[Source, Path]],
) -> None:
    source, path = convert(ATTEMPTS[2])
    image = source.frames[0].transpose(2, 0, 1)[None].astype(np.float32) / 255
    expected, found = run_graph(source.graph, image), run_graph(onnx.load(path), image)
    for one, other in zip(expected, found, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.95


@needs_plugin
@pytest.mark.slow
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_the_npu_computes_what_onnxruntime_computes(
    convert: Callable[[Attempt], tuple[Source, Path]], attempt: Attempt
) -> None:
    source, path = convert(attempt)
    theirs = Detector(path, provider="qnn")
    assert theirs.placement.share == 1
    ours = Detector(path, provider="cpu")
    prepared = ours.preprocess(source.frames[0][:, :, ::-1])
    for one, other in zip(ours.infer(prepared), theirs.infer(prepared), strict=True):
        # Of random weights, which round far apart.
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.7


@needs_plugin
@pytest.mark.slow
def test_the_file_is_exported_verified_and_run_on_the_npu(
    edgeloop: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two frames of the four: an inference takes long.
    monkeypatch.setitem(TARGETS, "qnn", _with_frames(2))
    run, dataset = untrained_run(tmp_path / "run"), write_dataset(tmp_path / "few", train=6, val=4)
    out = tmp_path / "parts.onnx"
    loose = ("--tolerance-map", 1, "--tolerance-boxes", 1)
    done = edgeloop("export", run, "-d", dataset, "-o", out, "--target", "qnn", *loose)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"next: edgeloop verify {out} --provider qnn"
    report = json.loads(out.with_suffix(".json").read_text())
    assert report["held_out_frames"] == 4
    (tried,) = report["precisions"]
    assert (tried["attempt"], tried["parity"]["frames"]) == (
        "8 bits, head on the host", 2 if is_emulated() else 4,
    )  # fmt: skip
    if is_emulated():
        assert "held-out frames: 2 of 4, evenly spread" in done.err
        assert "Held-out frames: 2 of 4, evenly spread." in out.with_suffix(".md").read_text()
        assert report["latency_ms"] == 0
    assert "onnxruntime-qnn" in report["machine"]
    assert sorted(path.name for path in tmp_path.glob("parts*")) == [
        "parts.json", "parts.md", "parts.onnx", "parts.worst.jpg",
    ]  # fmt: skip
    assert Detector(out, provider="cpu").spec.head == "raw"
    verified = edgeloop("verify", out, "--provider", "qnn", "--json")
    assert json.loads(verified.out)["verdict"] == "identical", verified.err
    ran = edgeloop("run", out, dataset / "images/val/001.jpg", "--provider", "qnn", "--json")
    assert ran.code == 0, ran.err
    assert len([json.loads(line) for line in ran.out.splitlines()]) == 1


def test_an_emulator_is_given_frames_that_are_evenly_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = open_dataset(write_dataset(tmp_path / "few", train=1, val=9))
    monkeypatch.setitem(TARGETS, "qnn", _with_frames(3))
    monkeypatch.setattr(export_run, "is_emulated", lambda: True)
    # Of each three frames the first one shows nothing.
    assert [image.path.stem for image in _held_out(data, "qnn")] == ["001", "004", "008"]
    assert _held_out(data, "rknn") == _held_out(data, None) == data.val
    monkeypatch.setattr(export_run, "is_emulated", lambda: False)
    assert _held_out(data, "qnn") == data.val


def test_without_the_package_the_command_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qnn_converter, "has_plugin", lambda: False)
    said = (
        "--target qnn: needs onnxruntime-qnn, and onnxruntime 1.31 or later; "
        "pip install 'edgeloop[export,qnn]'"
    )
    with pytest.raises(UnavailableError, match=re.escape(said)) as caught:
        QnnConverter().check_tools()
    assert caught.value.exit_code == 69


@pytest.mark.slow
def test_an_attempt_that_the_npu_does_not_take_is_left_out(
    edgeloop: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On the CPU, which takes them all.
    monkeypatch.setattr(qnn_converter, "has_plugin", lambda: True)
    monkeypatch.setattr(qnn_converter, "version", lambda _: "9.9")
    monkeypatch.setitem(TARGETS, "qnn", replace(TARGETS["qnn"], provider="cpu", emulated_frames=0))
    taken = {"attempt-2"}

    def choosy(path: Path, **settings: Any) -> Detector:
        if path.parent.name not in taken:
            raise UnavailableError("provider 'qnn': does not run this model")
        return Detector(path, **settings)

    monkeypatch.setattr(convert_bundles, "Detector", choosy)
    run, dataset = untrained_run(tmp_path / "run"), write_dataset(tmp_path / "few", train=6, val=2)
    out = tmp_path / "parts.onnx"
    arguments = ("export", run, "-d", dataset, "-o", out, "--target", "qnn")
    loose = ("--tolerance-map", 1, "--tolerance-boxes", 1)
    done = edgeloop(*arguments, *loose)
    assert done.code == 0, done.err
    report = json.loads(out.with_suffix(".json").read_text())
    assert len(report["failed"]) == 2
    assert "provider 'qnn': does not run this model" in json.dumps(report["failed"])
    (tried,) = report["precisions"]
    assert tried["attempt"] == "16 bits, head on the host"
    assert verify(out, provider="cpu").golden.verdict == "identical"
    assert not (tmp_path / "parts.onnx.json").exists()
    taken.clear()
    done = edgeloop(*arguments, *loose, "--overwrite")
    assert done.code == 65
    assert "--target qnn: no file was written; all 4 attempts failed, the last one: " in done.err


def _with_frames(count: int) -> Target:
    return replace(TARGETS["qnn"], emulated_frames=count)
