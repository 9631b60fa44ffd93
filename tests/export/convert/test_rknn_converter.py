from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.edge.engines.facts_file import read_facts
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import make_golden
from edgeloop.export import export_run
from edgeloop.export.convert import rknn_converter, rknn_simulator
from edgeloop.export.convert.converter import Attempt, Converted, Source
from edgeloop.export.convert.rknn_converter import PYTHON_VARIABLE, RknnConverter
from edgeloop.export.convert.rknn_tool import receive, send
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.exporter import export_bundle
from edgeloop.export.graph.cut_head import cut_head
from edgeloop.export.graph.graph_io import save_graph
from edgeloop.export.graph.to_onnx import model_spec, to_onnx
from edgeloop.export.targets import options_for
from edgeloop.models.bundle.document import read_document
from edgeloop.models.errors import ModelError, UnavailableError
from tests.calls import Outcome
from tests.export import fake_rknn
from tests.export.conftest import write_dataset
from tests.export.untrained import NAMES, untrained_model, untrained_run

SIDE = 96
FP16 = RknnConverter().attempts("fp16", "classic")[0]
TOOLKIT = os.environ.get(PYTHON_VARIABLE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Detector with its head, and frames."""
    folder = tmp_path_factory.mktemp("source")
    graph = to_onnx(untrained_model(folder), (SIDE, SIDE), ExportOptions())
    frames = np.random.default_rng(0).integers(0, 255, (6, SIDE, SIDE, 3), np.uint8)
    return Source(graph, model_spec(untrained_model(folder), NAMES, (SIDE, SIDE)), frames, folder, "rk3576")


@pytest.fixture
def source(whole: Source, tmp_path: Path) -> Source:
    """The same, cut at its head, in a folder with a space in its name."""
    graph, spec = cut_head(whole.graph, whole.spec)
    folder = tmp_path / "a folder"
    folder.mkdir()
    return replace(whole, graph=graph, spec=spec, folder=folder)


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Interpreter that has the double of the toolkit."""
    package = tmp_path / "packages" / "rknn"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(fake_rknn.__file__, package / "api.py")
    facts = tmp_path / "packages" / "rknn_toolkit2-9.9.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: rknn-toolkit2\nVersion: 9.9\n")
    python = tmp_path / "python"
    # -I, which keeps the user's own packages out, would keep the double out, too.
    python.write_text(f'#!/bin/sh\nshift\nPYTHONPATH="{package.parent}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv(PYTHON_VARIABLE, str(python))
    return monkeypatch


@pytest.mark.usefixtures("toolkit")
def test_the_file_runs_in_the_process_that_made_it(source: Source, tmp_path: Path) -> None:
    converted = RknnConverter().convert(source, FP16)
    assert converted.path.read_bytes() == b"RKNN"
    assert converted.options == {"chip": "rk3576"}
    assert converted.versions == {"rknn-toolkit2": "9.9"}
    assert (converted.spec.layout, converted.spec.dtype, converted.spec.scale) == ("NHWC", "uint8", 1)
    assert [output.name for output in converted.outputs][:2] == ["boxes_8", "scores_8"]
    assert "build " + json.dumps({"do_quantization": False, "dataset": None}) in _calls(source)
    plain = tmp_path / "plain.onnx"
    save_graph(source.graph, source.spec.to_metadata(), plain)
    ours, theirs = Detector(plain, provider="cpu"), _detector(converted)
    assert str(theirs.placement) == "rknn on simulator, 100 % of nodes"
    image = np.random.default_rng(1).integers(0, 255, (70, 90, 3), np.uint8)
    expected, actual = ours.detect(image), theirs.detect(image)
    assert len(expected) > 0
    np.testing.assert_array_equal(actual.xyxy, expected.xyxy)
    np.testing.assert_array_equal(actual.class_id, expected.class_id)
    assert make_golden(theirs).rows == make_golden(ours).rows
    assert converted.simulator is not None
    converted.simulator.close()
    with pytest.raises(ModelError, match="rknn: the toolkit ended with exit code -9"):
        theirs.detect(image)


@pytest.mark.usefixtures("toolkit")
@pytest.mark.parametrize(
    "attempt", RknnConverter().attempts("int8", "classic"), ids=lambda attempt: attempt.name
)
def test_int8_is_calibrated_on_the_frames(source: Source, attempt: Attempt) -> None:
    assert attempt.raw_head
    converted = RknnConverter().convert(source, attempt)
    assert converted.simulator is not None
    converted.simulator.close()
    frames = (source.folder / "dataset.txt").read_text().splitlines()
    assert frames == [f"frame-{number}.png" for number in range(6)]
    calls = _calls(source)
    config = json.loads(next(call for call in calls if call.startswith("config")).removeprefix("config "))
    assert (config["target_platform"], config["std_values"]) == ("rk3576", [[255, 255, 255]])
    assert config["quantized_algorithm"] == attempt.settings["algorithm"]
    mixed = attempt.settings["head"] == "float16"
    assert ("build " + json.dumps({"do_quantization": True, "dataset": "dataset.txt"}) in calls) is not mixed
    settings = source.folder / "model.quantization.cfg"
    assert settings.exists() is mixed
    if mixed:
        # Tensors of other strides are not in the double's settings.
        assert settings.read_text().startswith(
            "custom_quantize_layers:\n    boxes_8: float16\n    scores_8: float16\n#"
        )
        assert sum(call.startswith("RKNN") for call in calls) == 2


@pytest.mark.usefixtures("toolkit")
def test_a_simulated_file_records_no_time(
    edgeloop: Callable[..., Outcome], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The simulator's time says nothing of the chip."""
    run = untrained_run(tmp_path / "run")
    data = write_dataset(tmp_path_factory.mktemp("few"), train=4, val=3)
    out = tmp_path / "x.rknn"
    done = edgeloop("export", run, "-d", data, "-o", out, "--target", "rknn", "--precision", "fp16")
    assert done.code == 0, done.err
    assert "in a simulator" in done.out
    document = read_document(read_facts(out, "rknn").metadata)
    assert document is not None
    assert document.record.measured.latency_ms is None
    assert document.record.measured.parity == 1
    assert json.loads((tmp_path / "x.rknn.report.json").read_text())["latency_ms"] == 0


def test_frames_keep_their_colors(source: Source) -> None:
    rknn_converter._write_frames(source)
    np.testing.assert_array_equal(
        cv2.imread(str(source.folder / "frame-2.png"))[:, :, ::-1], source.frames[2]
    )


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            "crashes",
            r"^rknn: the toolkit ended with exit code 3; it said: E the last words of the toolkit$",
        ),
        ("refuses", "^rknn: build returned -1; it said: compress=0, global_fuse=1$"),
        ("raises", "^rknn: ValueError: no such layer!; it said: .*$"),
        ("does not start", "rknn: init_runtime returned -1"),
    ],
)
def test_a_toolkit_that_fails_is_told(
    toolkit: pytest.MonkeyPatch, source: Source, fault: str, says: str
) -> None:
    toolkit.setenv("FAKE_RKNN", fault)
    with pytest.raises(ModelError, match=says):
        RknnConverter().convert(source, FP16)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("answers nothing", r"rknn: inference\(\) returned nothing"),
        (
            "another order",
            r"simulator returned the shapes \[\(1, 2, 3, 3\), .* expected \[\(1, 4, 12, 12\), ",
        ),
    ],
)
def test_a_wrong_answer_is_told(toolkit: pytest.MonkeyPatch, source: Source, fault: str, says: str) -> None:
    toolkit.setenv("FAKE_RKNN", fault)
    converted = RknnConverter().convert(source, FP16)
    assert converted.simulator is not None
    with pytest.raises(ModelError, match=says):
        converted.simulator.run(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    converted.simulator.close()


def test_a_toolkit_that_hangs_is_stopped(toolkit: pytest.MonkeyPatch, source: Source, tmp_path: Path) -> None:
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    toolkit.setenv(PYTHON_VARIABLE, str(sleeper))
    toolkit.setattr(rknn_simulator, "_BUILD_S", 0.2)
    with pytest.raises(ModelError, match=r"rknn: no answer within 0.2 s; stopped"):
        RknnConverter().convert(source, FP16)


@pytest.mark.parametrize(
    ("python", "says"),
    [
        (
            "",
            f"--target rknn: needs rknn-toolkit2, and {PYTHON_VARIABLE} is not set; make a Python 3.8",
        ),
        (
            "/no/such/python",
            "--target rknn: Python: cannot be started (No such file or directory): /no/such/python; make",
        ),
        (sys.executable, f"--target rknn: {sys.executable}: has no rknn-toolkit2; make a Python"),
    ],
)
def test_no_toolkit_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, python: str, says: str) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, python)
    with pytest.raises(UnavailableError, match=re.escape(says)):
        RknnConverter().check_tools()


def test_no_toolkit_is_said_before_torch_is_run(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, "")
    monkeypatch.delattr(export_run, "measure_torch")
    run, data = untrained_run(tmp_path / "run"), write_dataset(tmp_path_factory.mktemp("few"), train=4, val=3)
    with pytest.raises(UnavailableError, match="--target rknn: needs rknn-toolkit2"):
        export_bundle(run, data, tmp_path / "x.rknn", options_for("rknn", {}))


@pytest.mark.usefixtures("toolkit")
def test_a_toolkit_that_is_there_is_found() -> None:
    RknnConverter().check_tools()


def test_a_message_that_is_cut_off_is_an_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    with path.open("wb") as stream:
        send(stream, b"four")
    with path.open("rb") as stream:
        assert receive(stream) == b"four"
    path.write_bytes(path.read_bytes()[:-1])
    with path.open("rb") as stream, pytest.raises(EOFError):
        receive(stream)


@pytest.mark.slow
@pytest.mark.skipif(not TOOLKIT, reason=f"{PYTHON_VARIABLE} names no Python with rknn-toolkit2")
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_simulator_finds_the_same_boxes(source: Source, precision: str) -> None:
    attempt = RknnConverter().attempts("fp16" if precision == "fp16" else "int8", "classic")[0]
    converted = RknnConverter().convert(source, attempt)
    assert converted.simulator is not None
    plain = source.folder / "plain.onnx"
    save_graph(source.graph, source.spec.to_metadata(), plain)
    ours = Detector(plain, provider="cpu")
    prepared = ours.preprocess(source.frames[0][:, :, ::-1])
    expected = ours.infer(prepared)
    actual = converted.simulator.run(source.frames[:1])
    converted.simulator.close()
    assert converted.path.stat().st_size > 100_000
    for one, other in zip(expected, actual, strict=True):
        alike = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert (0.99 if precision == "fp16" else 0.6) < alike < 1


@pytest.mark.slow
@pytest.mark.skipif(not TOOLKIT, reason=f"{PYTHON_VARIABLE} names no Python with rknn-toolkit2")
def test_the_toolkit_refuses_a_chip_that_it_does_not_know(source: Source) -> None:
    with pytest.raises(ModelError, match="rknn: ValueError: Invalid target_platform 'abacus'"):
        RknnConverter().convert(replace(source, chip="abacus"), FP16)


def _detector(converted: Converted) -> Detector:
    return Detector(converted.path, engine=converted.simulator)


def _calls(source: Source) -> list[str]:
    return (source.folder / "calls.txt").read_text().splitlines()
