"""Export a trained detector from torch to an ONNX graph with the input format that was asked for."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxslim
import torch

from edgeloop.export.export_model import ExportModel
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph.graph_io import INPUT
from edgeloop.export.graph.split_conv import split_convolutions
from edgeloop.models.spec import ModelSpec

__all__ = ["model_spec", "to_onnx"]

_OUTPUTS = ("output0", "output1")


def model_spec(model: ExportModel, names: tuple[str, ...], size: tuple[int, int]) -> ModelSpec:
    """Describe the graph of a model, input format "tensor", size (width, height) px."""
    return ModelSpec(
        head=model.head,
        input_size=size,
        layout="NCHW",
        dtype="float32",
        color="RGB",
        scale=255.0,
        centered=True,
        pad_value=114,
        names=names,
        stride=model.stride,
        confidence=0.25,
        iou=model.iou,
        max_detections=model.max_detections,
    )


def to_onnx(model: ExportModel, size: tuple[int, int], options: ExportOptions) -> onnx.ModelProto:
    """Export a model to a graph that takes float32 (1, 3, H, W) RGB in [0, 1].

    The size is (width, height) px; the options are read for the opset and the batch. The output is named
    output0; that of a segmentation model is its boxes, and output1 its prototypes.
    """
    width, height = size
    image = torch.zeros(1, 3, height, width)
    model.module(image)  # ultralytics computes its grid of anchors, a constant of the graph
    outputs = list(_OUTPUTS if model.head == "segment" else _OUTPUTS[:1])
    axes = {name: {0: "batch"} for name in (INPUT, *outputs)}
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation notes of the exporter
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            model.module, (image,), path, opset_version=options.opset,
            input_names=[INPUT], output_names=outputs,
            dynamic_axes=axes if options.dynamic_batch else None,
            dynamo=False,
        )  # fmt: skip
        return split_convolutions(onnxslim.slim(onnx.load(path)))
