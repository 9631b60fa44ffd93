"""Checks of ONNX graphs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgeloop.edge.engines.session import Session
from edgeloop.export.export_model import ExportModel
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph import to_onnx as export_graph
from edgeloop.export.graph.split_conv import split_convolutions

SIDE = 64


def check_cuts(model: ExportModel, cuts: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that `split_convolutions` splits so many convolutions and computes the same."""
    monkeypatch.setattr(export_graph, "split_convolutions", lambda graph: graph)
    whole = export_graph.to_onnx(model, (SIDE, SIDE), ExportOptions())
    parts = split_convolutions(whole)
    onnx.checker.check_model(parts, full_check=True)
    assert kinds(parts)["Conv"] == kinds(whole)["Conv"] + cuts
    image = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    np.testing.assert_array_equal(run(parts, image, folder), run(whole, image, folder))


def kinds(graph: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in graph.graph.node)


def run(graph: onnx.ModelProto, image: NDArray[np.float32], folder: Path) -> NDArray[np.floating]:
    onnx.save(graph, folder / "x.onnx")
    return Session(folder / "x.onnx", provider="cpu").run(image)[0]
