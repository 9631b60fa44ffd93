"""Conversion to ncnn by pnnx, checked in ncnn."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("ncnn", reason="extra export-ncnn is not installed")
pytest.importorskip("pnnx", reason="extra export-ncnn is not installed")

from edgeloop.edge.engines.facts_file import write_facts
from edgeloop.edge.engines.open_engine import open_engine
from edgeloop.export.check.parity import BundlePrecision
from edgeloop.export.convert import ncnn_converter
from edgeloop.export.convert.converter import Source
from edgeloop.export.convert.ncnn_converter import NcnnConverter
from edgeloop.export.convert_bundles import facts_of
from edgeloop.export.graph.cut_head import cut_head
from edgeloop.models.errors import ModelError, UnavailableError
from tests.export.heads import classic_graph, run_graph
from tests.export.untrained import untrained_model

SIZE = (160, 96)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return _source(tmp_path)


def _source(folder: Path, masks: int = 0) -> Source:
    graph, spec = classic_graph(untrained_model(folder, masks), SIZE)
    work = folder / "work"
    work.mkdir()
    return Source(graph, spec, np.empty((0, 96, 160, 3), np.uint8), work)


@pytest.mark.parametrize(("precision", "box_px", "score"), [("fp32", 0.01, 1e-4), ("fp16", 3.0, 0.03)])
@pytest.mark.parametrize("head", ["classic", "raw", "segment"])
def test_ncnn_computes_what_the_graph_computes(
    tmp_path: Path, precision: BundlePrecision, box_px: float, score: float, head: str
) -> None:
    source = _source(tmp_path, masks=16 if head == "segment" else 0)
    if head == "raw":
        graph, spec = cut_head(source.graph, source.spec)
        source = replace(source, graph=graph, spec=spec)
    (attempt,) = NcnnConverter().attempts(precision, "classic")
    converted = NcnnConverter().convert(source, attempt)
    assert zipfile.ZipFile(converted.path).namelist() == ["model.ncnn.param", "model.ncnn.bin"]
    assert set(converted.versions) == {"ncnn", "pnnx"}
    write_facts(converted.path, facts_of(converted, converted.spec.to_metadata()))
    engine = open_engine(converted.path)
    image = np.random.default_rng(0).random((1, 3, 96, 160), np.float32)
    outputs, expected = engine.run(image), run_graph(source.graph, image)
    assert len(outputs) == len(expected) == {"classic": 1, "raw": 6, "segment": 2}[head]
    for output, wanted in zip(outputs, expected, strict=True):
        assert output.shape == wanted.shape
        limit = box_px if wanted.shape[1] != len(source.spec.names) else 20 * score
        np.testing.assert_allclose(output, wanted, rtol=0, atol=limit)
    if head != "raw":
        np.testing.assert_allclose(outputs[0][:, 4:6], expected[0][:, 4:6], rtol=0, atol=score)
    if head == "segment":  # coefficients and prototypes are of either sign and up to 40
        np.testing.assert_allclose(outputs[0][:, 6:], expected[0][:, 6:], rtol=0, atol=10 * score)
        np.testing.assert_allclose(outputs[1], expected[1], rtol=0, atol=10 * score)


def test_half_precision_halves_the_file(source: Source) -> None:
    sizes = {}
    for precision in ("fp32", "fp16"):
        folder = source.folder / precision
        folder.mkdir()
        (attempt,) = NcnnConverter().attempts(precision, "classic")
        path = NcnnConverter().convert(replace(source, folder=folder), attempt).path
        sizes[precision] = path.stat().st_size
    assert sizes["fp16"] < 0.55 * sizes["fp32"]


def test_equal_graphs_give_equal_files(source: Source) -> None:
    contents = []
    for name in ("first", "second"):
        folder = source.folder / name
        folder.mkdir()
        (attempt,) = NcnnConverter().attempts("fp32", "classic")
        contents.append(NcnnConverter().convert(replace(source, folder=folder), attempt).path.read_bytes())
    assert contents[0] == contents[1]


def test_a_graph_that_the_tool_cannot_read_is_refused_in_its_words(source: Source) -> None:
    graph = onnx.ModelProto()
    graph.CopyFrom(source.graph)
    graph.graph.node[0].op_type = "Unheard"
    (attempt,) = NcnnConverter().attempts("fp32", "classic")
    with pytest.raises(ModelError, match=r"pnnx: failed with exit code .*No Op registered for Unheard"):
        NcnnConverter().convert(replace(source, graph=graph), attempt)


def test_without_the_tool_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ncnn_converter, "find_spec", lambda _: None)
    with pytest.raises(UnavailableError, match=r"pip install 'edgeloop\[export-ncnn\]'"):
        NcnnConverter().check_tools()
