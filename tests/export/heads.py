"""Comparison of a graph with the head in it and the same graph decoded on the host."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from edgeloop.export.export_model import ExportModel
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph.cut_head import cut_head
from edgeloop.export.graph.to_onnx import model_spec, to_onnx
from edgeloop.models.heads.raw import raw_to_classic
from edgeloop.models.spec import ModelSpec

NAMES = ("disk", "bar")


def classic_graph(model: ExportModel, size: tuple[int, int]) -> tuple[onnx.ModelProto, ModelSpec]:
    """Graph of a detector with the classic head, and its spec."""
    return to_onnx(model, size, ExportOptions(end2end=False)), model_spec(model, NAMES, size)


def check_cut(model: ExportModel, size: tuple[int, int], *, bins: int) -> None:
    """Prove that the host decodes what the graph decodes: boxes within 1e-3 px, scores within 1e-6.

    Args:
        model: Detector with the classic head.
        size: Width and height of its input.
        bins: Bins of a side's distribution, as the head has them.
    """
    graph, spec = classic_graph(model, size)
    cut, cut_spec = cut_head(graph, spec)
    assert cut_spec.head == "raw"
    strides = (8, 16, 32)
    names = [output.name for output in cut.graph.output]
    assert names == [f"{kind}_{stride}" for stride in strides for kind in ("boxes", "scores")]
    image = np.random.default_rng(0).random((1, 3, size[1], size[0]), np.float32)
    (classic,), raw = run_graph(graph, image), run_graph(cut, image)
    assert [output.shape for output in raw] == [
        (1, channels, size[1] // stride, size[0] // stride)
        for stride in strides
        for channels in (4 * bins, len(NAMES))
    ]
    dense = raw_to_classic(raw, size)
    assert dense.shape == classic.shape
    assert np.ptp(classic[:, 2:4]) > 1  # the boxes are not all alike
    np.testing.assert_allclose(dense[:, :4], classic[:, :4], rtol=0, atol=1e-3)
    np.testing.assert_allclose(dense[:, 4:], classic[:, 4:], rtol=0, atol=1e-6)


def run_graph(graph: onnx.ModelProto, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Outputs of a graph in onnxruntime."""
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: list[NDArray[np.float32]] = session.run(None, {"images": image})
    return outputs
