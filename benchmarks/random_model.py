"""Bundles of edgeloop-lite0 that were not trained further: as fast as trained ones, and made in seconds."""

from __future__ import annotations

from pathlib import Path

from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph.graph_io import save_graph, with_image_input
from edgeloop.export.graph.to_onnx import model_spec, to_onnx
from edgeloop.export.network.detector_weights import write_detector
from edgeloop.export.network.start_detector import start_detector
from edgeloop.export.quantize.convert import to_fp16
from edgeloop.export.train.load_trained import load_trained
from edgeloop.export.train.run_record import RunRecord
from edgeloop.models.bundle.document import Record, WeightPrecision

NAMES = ("one", "two", "three")


def make_models(folder: Path, size: int) -> list[Path]:
    """Write a bundle in single and one in half precision, with an input of bytes.

    Args:
        folder: Folder for them.
        size: Width and height of their input, px.

    Returns:
        Their paths.
    """
    detector, weights = start_detector(len(NAMES), None, seed=0)
    write_detector(detector.eval(), NAMES, folder / "best.safetensors")
    record = RunRecord(
        trainer="edgeloop", model="edgeloop-lite0", weights=weights, names=NAMES, dataset="none",
        dataset_sha256="0" * 64, imgsz=size, batch=1, freeze=0, seed=0, images=1, seconds=1.0,
        images_per_second=1.0, epochs=(), map50=None, map50_95=None, versions={"edgeloop": "0"},
    )  # fmt: skip
    model = load_trained(folder, record)
    spec = model_spec(model, NAMES, (size, size))
    graph = to_onnx(model, (size, size), ExportOptions())
    paths = []
    half: WeightPrecision = "fp16"
    single: WeightPrecision = "fp32"
    for precision, changed in ((single, graph), (half, to_fp16(graph))):
        shipped, shipped_spec = with_image_input(changed, spec)
        paths.append(folder / f"lite0_{size}_{precision}.onnx")
        save_graph(shipped, shipped_spec.to_metadata(Record(precision=precision)), paths[-1])
    return paths
