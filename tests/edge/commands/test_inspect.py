from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgeloop.edge.commands.inspect import inspect
from edgeloop.edge.runtime.detector import Detector
from edgeloop.models.bundle.document import Measured, Record
from edgeloop.models.errors import EdgeloopError, ModelError, NoInputError, UsageError
from edgeloop.models.facts.overrides import SpecOverrides
from tests.disc_finder import write_disc_finder
from tests.meter import ModelWriter


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(inspect, [str(arg) for arg in args])


def facts(output: str) -> dict[str, str]:
    return {line.split("  ")[0]: line.split("  ", 1)[1].strip() for line in output.splitlines()}


def test_says_what_a_plain_model_is(write_model: ModelWriter) -> None:
    metadata = {"task": "detect", "names": "['car', 'tram']", "author": "Some\x1b[2Jbody", "end2end": "True"}
    result = run(write_model(metadata=metadata), "--provider", "cpu")
    assert result.exit_code == 0, result.exception
    said = facts(result.output)
    assert said["kind"] == "a detector"
    assert said["author"] == r"'Some\x1b[2Jbody'"
    assert said["input"] == "64x64 RGB, NCHW float32, pixels / 255"
    assert said["head"] == "end2end, output0 float32 (1, 1, 6)"
    assert said["classes"] == "2: car, tram"
    assert said["provider"] == "cpu"


def test_says_where_a_bundle_comes_from(write_model: ModelWriter) -> None:
    record = Record(created="2026-01-31", precision="fp32", measured=Measured(map50=0.91, latency_ms=7.5))
    spec = Detector(write_model()).spec
    result = run(write_model(metadata=spec.to_metadata(record)))
    assert result.exit_code == 0, result.exception
    said = facts(result.output)
    assert said["kind"] == "an edgeloop bundle"
    assert said["created"] == "2026-01-31"
    assert said["measured"] == "map50 0.91, latency_ms 7.5"


def test_says_that_a_model_segments_and_how_well(tmp_path: Path) -> None:
    measured = Measured(map50=0.91, mask_map50=0.83, mask_map50_95=0.6)
    said = facts(run(write_disc_finder(tmp_path / "discs.onnx", measured=measured)).output)
    assert said["task"] == "segment, a mask for each box"
    assert said["head"] == "segment, output0 float32 (1, 8, 84); output1 float32 (1, 2, 16, 16)"
    assert said["measured"] == "map50 0.91, mask_map50 0.83, mask_map50_95 0.6"


def test_says_what_is_reported(write_model: ModelWriter) -> None:
    options = ("--classes", "tram", "--class-confidence", "tram=0.6", "--min-size", "9", "--max-size", "0.5")
    said = facts(run(write_model(), *options, "--tile", "640").output)
    assert (said["reported"], said["by class"]) == ("tram", "tram above 0.6")
    assert (said["sizes"], said["tiles"]) == ("at least 9 px, at most 0.5", "640 px, overlap 0.2")
    assert not {"reported", "by class", "sizes", "tiles"} & facts(run(write_model()).output).keys()


def test_json_says_it_to_programs(write_model: ModelWriter) -> None:
    spec = Detector(write_model(), overrides=SpecOverrides(confidence=0.5)).spec
    path = write_model(metadata=spec.to_metadata(Record(precision="fp16")))
    report = json.loads(run(path, "--json").output)
    assert report["spec"] == spec.model_dump(mode="json")
    assert report["record"] == {"precision": "fp16", "measured": {}}
    assert report["bytes"] == path.stat().st_size
    assert json.loads(run(write_model(), "--json").output)["record"] is None


def test_options_state_what_the_file_leaves_open(write_model: ModelWriter, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("car\ntram\n")
    path = write_model(shape=[1, "h", "w", 3], metadata={})
    stated = "--head end2end --input-size 96x64 --color BGR --scale 1 --letterbox corner"
    thresholds = "--confidence 0.5 --iou 0.4"
    result = run(path, "--json", "--names", names, *stated.split(), *thresholds.split())
    assert result.exit_code == 0, result.exception
    spec = json.loads(result.output)["spec"]
    assert spec["names"] == ["car", "tram"]
    assert spec["input_size"] == [96, 64]
    assert (spec["color"], spec["scale"], spec["centered"]) == ("BGR", 1.0, False)
    assert (spec["confidence"], spec["iou"]) == (0.5, 0.4)


def test_one_number_is_a_square(write_model: ModelWriter) -> None:
    path = write_model(shape=[1, 3, "h", "w"], metadata={"names": "['car']"})
    result = run(path, "--json", "--head", "end2end", "--input-size", "96")
    assert json.loads(result.output)["spec"]["input_size"] == [96, 96]


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(["--input-size", "big"], id="no size"),
        pytest.param(["--input-size", "8x8"], id="too small"),
        pytest.param(["--confidence", "2"], id="confidence above one"),
        pytest.param(["--head", "centernet"], id="an unknown head"),
        pytest.param(["--provider", "abacus"], id="an unknown provider"),
        pytest.param(["--scale", "0"], id="division by zero"),
    ],
)
def test_options_outside_their_range_are_usage_errors(write_model: ModelWriter, args: list[str]) -> None:
    result = run(write_model(), *args)
    assert result.exit_code == UsageError.exit_code
    assert "Invalid value" in result.output


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(None, NoInputError, id="missing"),
        pytest.param(b"garbage", ModelError, id="corrupt"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, content: bytes | None, error: type[EdgeloopError]) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    result = run(path)
    assert isinstance(result.exception, error)
    assert str(result.exception).startswith(str(path))
    assert "\n" not in str(result.exception)


def test_a_missing_file_of_names_is_one_line(write_model: ModelWriter, tmp_path: Path) -> None:
    result = run(write_model(), "--names", tmp_path / "no.txt")
    assert isinstance(result.exception, NoInputError)
