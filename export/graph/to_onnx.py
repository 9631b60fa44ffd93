"""Export a trained detector from torch to an ONNX graph with the input format that was asked for."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxslim
import torch
from ultralytics.nn.modules import Detect
from ultralytics.nn.tasks import DetectionModel

from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph.graph_io import INPUT
from edgeloop.export.graph.split_conv import split_convolutions
from edgeloop.models.errors import UsageError
from edgeloop.models.spec import ModelSpec

__all__ = ["model_spec", "prepare_model", "to_onnx"]

_OUTPUT = "output0"


def prepare_model(model: DetectionModel, *, end2end: bool | None = None) -> DetectionModel:
    """Prepare a model for export and for the comparison: batch norms folded, a single output.

    Args:
        model: A trained detector, changed in place.
        end2end: Head to keep if the model has both; None keeps the head as trained.

    Returns:
        The model, float32, in evaluation mode.

    Raises:
        UsageError: The model has no end-to-end head to keep.
    """
    if end2end is not None:
        if end2end and getattr(model.model[-1], "one2one_cv2", None) is None:
            raise UsageError("end2end: this detector has the classic head alone, which needs NMS outside")
        model.end2end = end2end
    model = model.float().eval().fuse(verbose=False)
    for module in model.modules():
        if isinstance(module, Detect):
            module.export, module.format, module.dynamic = True, "onnx", False
    return model.requires_grad_(False)


def model_spec(model: DetectionModel, names: tuple[str, ...], size: tuple[int, int]) -> ModelSpec:
    """Describe the graph of a prepared model, input format "tensor", size (width, height) px."""
    head = model.model[-1]
    return ModelSpec(
        head="end2end" if head.end2end else "classic",
        input_size=size,
        layout="NCHW",
        dtype="float32",
        color="RGB",
        scale=255.0,
        centered=True,
        pad_value=114,
        names=names,
        stride=int(model.stride.max()),
        confidence=0.25,
        iou=0.7,
        max_detections=head.max_det,
    )


def to_onnx(model: DetectionModel, size: tuple[int, int], options: ExportOptions) -> onnx.ModelProto:
    """Export a prepared model to a graph that takes float32 (1, 3, H, W) RGB in [0, 1].

    The size is (width, height) px; the options are read for the opset and the batch.
    """
    width, height = size
    image = torch.zeros(1, 3, height, width)
    model(image)  # computes the grid of anchors, which then becomes a constant of the graph
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation notes of the exporter
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            model, (image,), path, opset_version=options.opset, input_names=[INPUT], output_names=[_OUTPUT],
            dynamic_axes={INPUT: {0: "batch"}, _OUTPUT: {0: "batch"}} if options.dynamic_batch else None,
            dynamo=False,
        )  # fmt: skip
        return split_convolutions(onnxslim.slim(onnx.load(path)))
