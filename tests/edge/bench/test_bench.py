"""`edgeloop bench`: turns of model and loop, and figures of a subprocess."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from edgeloop.edge.bench import benchmark
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.sources.iterable import ImageIterable
from edgeloop.models.errors import DataError, UsageError
from tests.calls import Outcome, edgeloop
from tests.marks import needs_openvino
from tests.meter import ModelWriter


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    return edgeloop("bench", *arguments, timeout_s=90)


@pytest.mark.slow
def test_the_report_adds_up(block_model: Path, clip: Path) -> None:
    done = bench(block_model, clip, "--frames", 20, "--turns", 3, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["provider"], report["provider_share"]) == ("cpu", 1.0)
    assert len(report["turns"]) == 3
    assert report["threads"] >= report["parallel"]
    ratios = [turn["loop_fps"] / turn["model_fps"] for turn in report["turns"]]
    assert report["ratio"] == pytest.approx(sorted(ratios)[1], abs=0.001)
    assert min(ratios) <= report["ratio"] <= max(ratios)
    assert set(report["stages_ms"]) == {"wait", "preprocess", "infer", "postprocess", "act"}
    assert report["first_detection_s"] > 0.05
    assert 30 < report["peak_memory_mb"] < 400


@pytest.mark.slow
def test_the_default_source_is_a_scene_and_the_table_is_for_people(block_model: Path) -> None:
    done = bench(block_model, "--frames", 5, "--turns", 1)
    assert done.returncode == 0, done.stderr
    assert "synth:conveyor, 1 turns of 5 frames" in done.stdout
    for topic in ("bare model", "loop", "ratio", "first detection", "peak memory"):
        assert topic in done.stdout


@pytest.mark.slow
def test_the_new_process_is_told_what_the_model_leaves_open(
    write_model: ModelWriter, clip: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("car\ntram\n")
    model = write_model(shape=[1, "h", "w", 3], metadata={})
    stated = ("--head", "end2end", "--names", names, "--input-size", "96x64", "--color", "BGR", "--allow-cpu")
    done = bench(model, clip, "--frames", 5, "--turns", 1, "--json", *stated)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["first_detection_s"] > 0


@pytest.mark.slow
def test_one_image_has_no_rate_and_a_first_detection(block_model: Path, image_folder: Path) -> None:
    done = bench(block_model, min(image_folder.iterdir()), "--frames", 5, "--turns", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["first_detection_s"] > 0


@pytest.mark.parametrize(("throughput", "threads", "total"), [(False, 1, 1), (False, 3, 3), (True, 2, 4)])
def test_the_bare_model_has_as_many_threads_as_the_loop(
    block_model: Path, monkeypatch: pytest.MonkeyPatch, throughput: bool, threads: int, total: int
) -> None:
    monkeypatch.setattr("edgeloop.edge.runtime.detector.physical_cores", lambda: 2)
    detector = Detector(block_model, provider="cpu", throughput=throughput, threads=threads)
    assert benchmark._open_bare(detector).threads == total


@needs_openvino
@pytest.mark.parametrize("threads", [1, 2])
def test_the_bare_model_in_openvino_too(block_model: Path, threads: int) -> None:
    detector = Detector(block_model, provider="openvino", threads=threads)
    assert benchmark._open_bare(detector).threads == threads  # as OpenVINO says


@pytest.mark.parametrize(
    ("package", "module", "writer", "name"),
    [
        ("ncnn", "tests.ncnn_files", "write_ncnn", "x.ncnn"),
        ("ai_edge_litert", "tests.litert_files", "write_litert", "x.tflite"),
    ],
)
def test_the_bare_model_in_other_engines_too(
    tmp_path: Path, package: str, module: str, writer: str, name: str
) -> None:
    pytest.importorskip(package)
    model = getattr(import_module(module), writer)(tmp_path / name)
    assert benchmark._open_bare(Detector(model, threads=1)).threads == 1


def test_a_source_without_a_frame_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "open_source", lambda _: ImageIterable([], "rtsp://admin:***@host/"))
    with pytest.raises(DataError) as raised:
        benchmark._first_image("rtsp://admin:hunter2@host/")
    assert str(raised.value) == "source rtsp://admin:***@host/: holds no frame"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere.onnx"], 66),
        (["{model}", "nowhere.mp4"], 66),
        (["{model}", "--turns", "0"], 2),
    ],
)
def test_bad_input(
    edgeloop: Callable[..., Outcome], block_model: Path, arguments: list[str], code: int
) -> None:
    done = edgeloop("bench", *(word.format(model=block_model) for word in arguments))
    assert done.code == code
    assert "Traceback" not in done.err


def test_a_pipe_is_refused_because_it_is_read_once(block_model: Path) -> None:
    with pytest.raises(UsageError, match="several times; name a file"):
        benchmark.bench(block_model, "-", frames=2, turns=1)
