"""Attempts in order until one passes the gate; if none does, no file, and all of them in the report."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

pytest.importorskip("ncnn", reason="extra export-ncnn is not installed")
pytest.importorskip("pnnx", reason="extra export-ncnn is not installed")

from edgeloop.edge.engines.facts_file import read_facts
from edgeloop.edge.runtime.verification import verify
from edgeloop.export import convert_bundles
from edgeloop.export.check.parity import BundlePrecision
from edgeloop.export.convert.converter import Attempt, Converted, Source
from edgeloop.export.convert.ncnn_converter import NcnnConverter
from edgeloop.export.convert.run_tool import run_tool
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.exporter import export_bundle
from edgeloop.models.errors import DataError, ModelError, UsageError
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.heads import Head
from tests.calls import Outcome
from tests.export.conftest import write_dataset
from tests.export.untrained import untrained_run

OPTIONS = ExportOptions(target="ncnn", precision="fp32", end2end=False)


class Workshop:
    """Converter with several attempts, named by what happens.

    Those that begin with "bad" or "worse" or "huge" spoil the weights, "inverted" those of the masks alone,
    "crash" is a tool that ends with an exit code, "raise" one that raises, and "vanish" an engine that fails
    when it runs the file.
    """

    def __init__(self, *names: str) -> None:
        self.names, self.seen = names, list[Source]()

    def check_tools(self) -> None:
        pass

    def attempts(self, precision: BundlePrecision, _head: Head, /) -> tuple[Attempt, ...]:
        return tuple(Attempt(name, precision, raw_head="host" in name) for name in self.names)

    def convert(self, source: Source, attempt: Attempt) -> Converted:
        self.seen.append(source)
        how = attempt.name.replace(",", " ").split()[0]
        if how == "crash":
            said = "print('step 1'); print('layer 7: failed'); raise SystemExit(3)"
            run_tool("maker", [sys.executable, "-c", said], source.folder)
        if how == "raise":
            raise KeyError("layer 8")
        if how == "vanish":
            converted = NcnnConverter().convert(source, attempt)
            converted.path.write_bytes(b"damaged")
            return converted
        factor = {"bad": 0.9, "worse": 0.0, "huge": 1e30, "inverted": -1.0}.get(how)
        if factor is not None:
            graph = onnx.ModelProto()
            graph.CopyFrom(source.graph)
            for constant in graph.graph.initializer:
                value = numpy_helper.to_array(constant)
                if value.ndim == 4 and (how != "inverted" or constant.name == "masks.mix.weight"):
                    constant.CopyFrom(numpy_helper.from_array(value * np.float32(factor), constant.name))
            source = replace(source, graph=graph)
        return NcnnConverter().convert(source, attempt)


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Workshop]:
    """Replace the converter of a target by one with these attempts."""

    def use(*names: str) -> Workshop:
        made = Workshop(*names)
        monkeypatch.setattr(convert_bundles, "load_converter", lambda _: made)
        return made

    return use


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_run(tmp_path_factory.mktemp("untrained") / "run")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("few"), train=4, val=3)


@pytest.mark.slow
def test_the_first_attempt_that_passes_ends_the_search(
    run: Path, dataset: Path, tmp_path: Path, workshop: Callable[..., Workshop]
) -> None:
    made = workshop("bad, as trained", "head on the host", "never reached")
    (tmp_path / "parts.json").write_text("report of parts.onnx")
    report = export_bundle(run, dataset, tmp_path / "parts.ncnn", OPTIONS)
    assert [each.attempt for each in report.candidates] == ["bad, as trained", "head on the host"]
    assert [len(source.graph.graph.output) for source in made.seen] == [1, 6]
    assert report.chosen is report.candidates[1]
    assert report.candidates[0].reasons
    assert not report.chosen.reasons
    assert report.spec.head == "raw"
    found = verify(report.bundle)
    assert (found.golden.verdict, found.spec.head) == ("identical", "raw")
    facts = read_facts(report.bundle, "ncnn")
    assert set(facts.versions) == {"ncnn", "pnnx"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "parts.json", "parts.ncnn", "parts.ncnn.json", "parts.ncnn.md", "parts.ncnn.report.json",
        "parts.ncnn.worst.jpg",
    ]  # fmt: skip


@pytest.mark.slow
def test_if_all_are_refused_no_file_is_written_and_each_is_reported(
    run: Path, dataset: Path, tmp_path: Path, workshop: Callable[..., Workshop]
) -> None:
    workshop("bad, as trained", "bad, head on the host")
    out = tmp_path / "parts.ncnn"
    with pytest.raises(
        ModelError, match=r"parts\.ncnn: not written; .*repeats .*see .*parts\.ncnn\.refused\.md"
    ):
        export_bundle(run, dataset, out, OPTIONS)
    assert not out.exists()
    assert not facts_path(out).exists()
    written = json.loads((tmp_path / "parts.ncnn.refused.json").read_text())["precisions"]
    assert [each["attempt"] for each in written] == ["bad, as trained", "bad, head on the host"]
    for each in written:
        assert each["refused"]
        assert each["parity"]["repeated"] < each["parity"]["boxes"]
        assert each["bytes"] > 1e5
    card = (tmp_path / "parts.ncnn.refused.md").read_text()
    assert "bad, as trained" in card
    assert "bad, head on the host" in card
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_an_earlier_bundle_survives_a_refused_one(
    run: Path, dataset: Path, tmp_path: Path, workshop: Callable[..., Workshop]
) -> None:
    out = tmp_path / "parts.ncnn"
    export_bundle(run, dataset, out, OPTIONS)
    before = out.read_bytes(), facts_path(out).read_bytes()
    with pytest.raises(DataError, match="exists; name another file"):
        export_bundle(run, dataset, out, OPTIONS)
    workshop("bad")
    with pytest.raises(ModelError, match="not written"):
        export_bundle(run, dataset, out, replace(OPTIONS, overwrite=True))
    assert (out.read_bytes(), facts_path(out).read_bytes()) == before
    assert verify(out).golden.verdict == "identical"


@pytest.mark.slow
def test_an_attempt_whose_output_is_no_number_is_refused_and_the_next_is_tried(
    run: Path, dataset: Path, tmp_path: Path, workshop: Callable[..., Workshop]
) -> None:
    workshop("huge", "as trained")
    report = export_bundle(run, dataset, tmp_path / "parts.ncnn", OPTIONS)
    assert report.candidates[0].measurement.parity.repeated == 0
    assert report.candidates[0].reasons
    assert report.chosen is report.candidates[1]


@pytest.mark.slow
def test_masks_are_held_to_the_gate_in_the_engine_itself(
    edgeloop: Callable[..., Outcome], tmp_path: Path, workshop: Callable[..., Workshop]
) -> None:
    run = untrained_run(tmp_path / "run", masks=16)
    dataset = write_dataset(tmp_path / "data", train=4, val=2, outlines=True)
    workshop("inverted", "as trained")
    out = tmp_path / "parts.ncnn"
    report = export_bundle(run, dataset, out, OPTIONS)
    inverted, kept = report.candidates
    parity = inverted.measurement.parity
    assert parity.boxes > 100
    assert (parity.other_masks or 0) > 0.9 * parity.boxes  # those without any pixel are the same
    assert "of the missing have the box but another mask" in inverted.reasons[0]
    assert report.chosen is kept
    assert kept.measurement.parity.other_masks is not None
    assert report.record.measured.mask_map50_95 is not None
    checked = verify(out)
    assert (checked.golden.verdict, checked.spec.head) == ("identical", "segment")
    done = edgeloop("run", out, dataset / "images/val", "--json")
    assert done.code == 0, done.err
    found = [each for line in done.out.splitlines() for each in json.loads(line)["detections"]]
    assert len(found) > 100
    assert all("segments" in each for each in found)


@pytest.mark.slow
def test_an_attempt_whose_tool_fails_is_refused_and_the_next_is_tried(
    edgeloop: Callable[..., Outcome],
    run: Path,
    dataset: Path,
    tmp_path: Path,
    workshop: Callable[..., Workshop],
) -> None:
    workshop("crash", "raise", "vanish", "as trained")
    out = tmp_path / "x.ncnn"
    done = edgeloop("export", run, "-d", dataset, "-o", out, "--target", "ncnn")
    assert done.code == 0, done.err
    assert "failed: fp16, crash: maker: failed with exit code 3; it said: layer 7: failed\n" in done.err
    assert "failed: fp16, raise: KeyError: 'layer 8'\n" in done.err
    assert "failed: fp16, vanish: " in done.err
    report = json.loads((tmp_path / "x.ncnn.report.json").read_text())
    assert [each["attempt"] for each in report["precisions"]] == ["as trained"]
    assert [each["attempt"] for each in report["failed"]] == ["crash", "raise", "vanish"]
    assert "| fp16, crash |" in (tmp_path / "x.ncnn.md").read_text()
    assert out.is_file()


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (
            ("raise", "crash"),
            "all 2 attempts failed, the last one: fp16, crash: maker: failed with exit code 3",
        ),
        (("raise",), "the only attempt failed: fp16, raise: KeyError: 'layer 8'"),
    ],
)
def test_if_the_tool_fails_in_all_attempts_one_line_says_so(
    edgeloop: Callable[..., Outcome],
    run: Path,
    dataset: Path,
    tmp_path: Path,
    workshop: Callable[..., Workshop],
    names: tuple[str, ...],
    error: str,
) -> None:
    workshop(*names)
    done = edgeloop("export", run, "-d", dataset, "-o", tmp_path / "x.ncnn", "--target", "ncnn")
    assert done.code == 65
    lines = [line for line in done.err.splitlines() if line.startswith("edgeloop: error: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"edgeloop: error: --target ncnn: no file was written; {error}")
    assert list(tmp_path.iterdir()) == []


def test_facts_alone_are_not_replaced_unasked(run: Path, dataset: Path, tmp_path: Path) -> None:
    facts_path(tmp_path / "parts.ncnn").write_text("{}")
    with pytest.raises(DataError, match=r"parts\.ncnn\.json: exists"):
        export_bundle(run, dataset, tmp_path / "parts.ncnn", OPTIONS)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("parts.onnx", OPTIONS, r"expected a file that ends in \.ncnn, which --target ncnn makes"),
        ("parts.ncnn", ExportOptions(), r"expected a file that ends in \.onnx"),
    ],
)
def test_another_suffix_is_refused_before_the_work(
    run: Path, tmp_path: Path, name: str, options: ExportOptions, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        export_bundle(run, tmp_path / "no dataset", tmp_path / name, options)


@pytest.mark.slow
def test_the_command_line_lists_what_was_tried(
    edgeloop: Callable[..., Outcome],
    run: Path,
    dataset: Path,
    tmp_path: Path,
    workshop: Callable[..., Workshop],
) -> None:
    workshop("worse one", "crash", "bad two", "worse three")
    done = edgeloop("export", run, "-d", dataset, "-o", tmp_path / "x.ncnn", "--target", "ncnn")
    assert done.code == 65
    (error,) = (line for line in done.err.splitlines() if "error: " in line)
    assert "x.ncnn: not written; the best of 4 attempts is 'fp16, bad two': fp16 repeats " in error
    for attempt in ("worse one", "bad two", "worse three"):
        assert re.search(rf"warning: fp16, {attempt}: \d+ of \d+ boxes repeated, mAP50-95 \d", done.err)
    assert "warning: fp16, crash: maker: failed with exit code 3; it said: layer 7: failed" in done.err
    left = sorted(each.name for each in tmp_path.glob("*.ncnn*"))
    assert left == ["x.ncnn.refused.json", "x.ncnn.refused.md", "x.ncnn.refused.worst.jpg"]
