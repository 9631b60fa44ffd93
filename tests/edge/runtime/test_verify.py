"""Is a bundle what was exported, and does it compute here what it computed there?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import numpy_helper

from edgeloop.edge.commands.inspect import inspect
from edgeloop.edge.commands.run import run
from edgeloop.edge.commands.verify import verify
from edgeloop.models.bundle.document import BUNDLE_KEY
from edgeloop.models.bundle.seal import SEAL_KEY, seal
from edgeloop.models.errors import EdgeloopError, ModelError, NoInputError
from tests.dense import write_bundle

VERBS = pytest.mark.parametrize("verb", ["verify", "inspect", "run"])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "parts.onnx")


def call(verb: str, path: Path, *options: str) -> Result:
    commands = {"verify": (verify, []), "inspect": (inspect, []), "run": (run, ["synth:conveyor?frames=2"])}
    command, source = commands[verb]
    return CliRunner().invoke(command, [str(path), *source, "--provider", "cpu", *options])


def change(path: Path, alter: Callable[[onnx.ModelProto], None], *, sealed: bool = True) -> Path:
    """Alter the model in a bundle; sealed anew, it can only be told by what it computes."""
    model = onnx.load(path)
    kept = [entry for entry in model.metadata_props if entry.key != SEAL_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    alter(model)
    content = model.SerializeToString()
    path.write_bytes(seal(content) if sealed else content)
    return path


def alter_document(alter: Callable[[dict], None]) -> Callable[[onnx.ModelProto], None]:  # type: ignore[type-arg]
    def change_entry(model: onnx.ModelProto) -> None:
        entry = next(entry for entry in model.metadata_props if entry.key == BUNDLE_KEY)
        document = json.loads(entry.value)
        alter(document)
        entry.value = json.dumps(document)

    return change_entry


def scale_weights(factor: float) -> Callable[[onnx.ModelProto], None]:
    def scale(model: onnx.ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "weights")
        weights = numpy_helper.to_array(tensor) * np.float32(factor)
        tensor.CopyFrom(numpy_helper.from_array(weights, "weights"))

    return scale


def refused(result: Result) -> str:
    assert isinstance(result.exception, ModelError), result.output
    assert result.exception.exit_code == 65
    message = str(result.exception)
    assert message.isprintable()
    assert len(message) < 500
    return message


def test_a_bundle_that_is_whole_is_identical_where_it_was_made(bundle: Path) -> None:
    result = call("verify", bundle)
    assert result.exit_code == 0, result.exception
    said = dict(line.split("  ", 1) for line in result.output.splitlines())
    assert said["file"].endswith("opset 13, weights inside")
    assert said["content"].strip() == "as exported (sha256)"
    assert said["metadata"].strip() == "bundle, schema 3; 64x64, classic head, 2 classes"
    assert said["provider"].strip() == "cpu"
    assert said["time"].endswith("ms an inference, 1.5 ms where it was exported")
    assert said["golden"].strip() == "identical: all 504 values of the answer, to the last bit"


def test_json_says_it_to_programs(bundle: Path) -> None:
    result = call("verify", bundle, "--json")
    report = json.loads(result.output)
    assert (result.exit_code, report["verdict"], report["sealed"]) == (0, "identical", True)
    assert (report["opset"], report["schema_version"]) == (13, 3)
    assert (report["provider"], report["provider_share"]) == ("cpu", 1.0)
    assert report["latency_ms"] > 0
    assert report["difference"] is None


@pytest.mark.parametrize(
    ("factor", "tolerance", "verdict"),
    [
        pytest.param(1 + 1e-6, "fp32", "within tolerance", id="rounding"),
        pytest.param(1 + 3e-3, "fp32", "different", id="more than rounding"),
        pytest.param(1 + 3e-3, "fp16", "within tolerance", id="rounding of half precision"),
        pytest.param(1.02, "fp16", "different", id="more than that"),
        pytest.param(1.02, "int8", "within tolerance", id="rounding of bytes"),
        pytest.param(1.5, "int8", "different", id="another model"),
    ],
)
def test_the_verdict_goes_by_the_difference(
    bundle: Path, factor: float, tolerance: str, verdict: str
) -> None:
    change(bundle, scale_weights(factor))
    result = call("verify", bundle, "--json", "--tolerance", tolerance)
    report = json.loads(result.stdout)
    assert report["verdict"] == verdict
    assert report["difference"]["box_px"] > 0
    assert result.exit_code == (0 if verdict == "within tolerance" else 1)
    if verdict == "different":
        assert "DIFFERENT on cpu: off by" in refused(result)


def test_the_tolerance_is_that_of_the_bundles_precision(tmp_path: Path) -> None:
    path = change(write_bundle(tmp_path / "half.onnx", precision="fp16"), scale_weights(1 + 3e-3))
    result = call("verify", path)
    assert result.exit_code == 0
    assert "allowed are 0.5 px and 0.1 for fp16" in result.stdout


def test_weights_that_are_no_numbers_are_different(bundle: Path) -> None:
    result = call("verify", change(bundle, scale_weights(float("nan"))), "--json")
    report = json.loads(result.stdout)
    assert (report["verdict"], report["difference"]) == ("different", {"box_px": None, "logit": None})
    refused(result)


def as_schema_1(document: dict) -> None:  # type: ignore[type-arg]
    document["schema_version"] = 1
    del document["record"]["golden"]["rows"]


def test_an_older_bundle_proves_what_it_can(bundle: Path) -> None:
    change(bundle, alter_document(as_schema_1), sealed=False)
    whole = call("verify", bundle)
    assert whole.exit_code == 0
    assert "no digest in the file" in whole.stdout
    assert "identical: all 504 values" in whole.stdout
    change(bundle, scale_weights(1 + 1e-6), sealed=False)
    assert "UNPROVEN on cpu: the answer differs, and the file keeps only a digest" in refused(
        call("verify", bundle)
    )


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        pytest.param(lambda document: document.pop("record"), "carries no golden sample", id="none"),
        pytest.param(
            lambda document: document["record"]["golden"].update(input_sha256="0" * 64),
            "was taken on another picture",
            id="of another picture",
        ),
    ],
)
def test_without_a_golden_sample_nothing_is_proven(
    bundle: Path,
    alter: Callable[[dict[str, Any]], None],
    says: str,
) -> None:
    result = call("verify", change(bundle, alter_document(alter)))
    assert says in refused(result)
    assert "unproven" in result.stdout


@VERBS
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_one_flipped_bit_is_found_by_every_verb(bundle: Path, verb: str, share: float) -> None:
    content = bytearray(bundle.read_bytes())
    content[int(share * len(content))] ^= 1
    bundle.write_bytes(content)
    assert "parts.onnx: damaged or changed since it was exported" in refused(call(verb, bundle))


@VERBS
def test_a_file_that_was_added_to_is_refused(bundle: Path, verb: str) -> None:
    model = onnx.load(bundle)
    model.metadata_props.add(key="author", value="somebody else")
    onnx.save(model, bundle)
    assert "parts.onnx: cut short or changed since it was exported" in refused(call(verb, bundle))


@VERBS
@pytest.mark.parametrize("missing", [1, 100, 5000, 300_000])
def test_a_file_that_is_cut_short_is_refused(bundle: Path, verb: str, missing: int) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-missing])
    message = refused(call(verb, bundle))
    assert re.search(r"parts\.onnx: (cut short or changed|expected an ONNX model)", message)


def test_where_only_the_seal_is_cut_off_the_golden_sample_speaks(bundle: Path) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-85])
    result = call("verify", bundle, "--json")
    report = json.loads(result.output)
    assert (result.exit_code, report["sealed"], report["verdict"]) == (0, False, "identical")


@VERBS
@pytest.mark.parametrize("place", ["weights.bin", "../weights.bin", "{folder}/weights.bin", "/etc/hostname"])
def test_weights_in_another_file_are_never_read(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, place: str
) -> None:
    folder = tmp_path / "deeper"
    folder.mkdir()
    path = bundle.rename(folder / bundle.name)

    def move_out(model: onnx.ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "weights")
        for name in (folder / "weights.bin", tmp_path / "weights.bin"):
            name.write_bytes(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in {"location": place.format(folder=folder), "length": "64"}.items():
            tensor.external_data.add(key=key, value=value)

    change(path, move_out)
    monkeypatch.chdir(folder)
    assert "parts.onnx: keeps its weights in a second file, which is not read" in refused(call(verb, path))


@VERBS
@pytest.mark.parametrize(
    ("alter", "says"),
    [
        pytest.param(lambda it: it["model"].update(input_size=[10**9, 64]), "input_size", id="giant input"),
        pytest.param(lambda it: it["model"].update(names=["x"] * 10**5), "names", id="endless names"),
        pytest.param(lambda it: it["model"].update(confidence=-1), "confidence", id="confidence below 0"),
        pytest.param(lambda it: it["model"].update(max_detections=10**9), "max_detections", id="detections"),
        pytest.param(lambda it: it["model"].update(names=["a"]), "2 classes", id="fewer names than classes"),
        pytest.param(lambda it: it.update(schema_version=9), "schema_version", id="later schema"),
        pytest.param(lambda it: it["record"]["golden"].update(rows=[[]] * 65), "rows", id="endless rows"),
        pytest.param(lambda it: it.update(secret="x" * 2**20), "characters", id="too long"),
    ],
)
def test_absurd_metadata_is_refused(
    bundle: Path,
    verb: str,
    alter: Callable[[dict[str, Any]], None],
    says: str,
) -> None:
    message = refused(call(verb, change(bundle, alter_document(alter))))
    assert "parts.onnx: " in message
    assert says in message


@VERBS
def test_metadata_that_is_no_text_is_refused(bundle: Path, verb: str) -> None:
    content = change(bundle, lambda _model: None, sealed=False).read_bytes()
    bundle.write_bytes(content.replace(b'"tram"', b'"\xff\xfeam"'))
    assert "parts.onnx: its metadata is no text" in refused(call(verb, bundle))


def test_a_golden_row_beyond_the_answer_is_refused(bundle: Path) -> None:
    def alter(document: dict) -> None:  # type: ignore[type-arg]
        document["record"]["golden"]["output_sha256"] = "0" * 64
        document["record"]["golden"]["rows"][0]["place"] = 84

    assert "names cell 84" in refused(call("verify", change(bundle, alter_document(alter))))


def test_a_plain_model_says_what_it_lacks(block_model: Path) -> None:
    result = call("verify", block_model)
    assert "UNPROVEN on cpu: the file carries no golden sample" in refused(result)
    assert "no bundle; 128x128, end2end head, 1 classes" in result.stdout


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = call("verify", tmp_path / "no.onnx")
    assert isinstance(result.exception, NoInputError)


def test_no_error_is_a_traceback_whatever_the_bytes(bundle: Path) -> None:
    content = change(bundle, lambda _model: None, sealed=False).read_bytes()
    rng = np.random.default_rng(2)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged) - 6000, len(damaged))] = rng.integers(256)
        bundle.write_bytes(damaged)
        result = call("verify", bundle)
        assert result.exception is None or isinstance(result.exception, EdgeloopError), result.exception
