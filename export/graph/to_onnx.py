"""Export a trained detector from torch to an ONNX graph with the input format that was asked for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxslim
import torch
from onnx import TensorProto, helper
from ultralytics.nn.modules import Detect
from ultralytics.nn.tasks import DetectionModel

from edgeloop.export.export_options import ExportOptions
from edgeloop.export.graph.graph_editor import GraphEditor
from edgeloop.export.graph.split_conv import split_convolutions
from edgeloop.models.bundle.seal import seal
from edgeloop.models.errors import UsageError
from edgeloop.models.spec import ModelSpec

__all__ = ["INPUT", "model_spec", "prepare_model", "save_graph", "to_onnx", "with_image_input"]

#: Name of the graph's only input.
INPUT = "images"
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
    """Describe the graph of a prepared model.

    Args:
        model: Model returned by `prepare_model`.
        names: Class names.
        size: (width, height) of the input, px.

    Returns:
        The spec, input format "tensor".
    """
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
    """Export a prepared model to ONNX.

    Args:
        model: Model returned by `prepare_model`.
        size: (width, height) of the input, px.
        options: Options of the export, for the opset and the batch.

    Returns:
        The graph; it takes float32 (1, 3, H, W) RGB in [0, 1].
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


def with_image_input(model: onnx.ModelProto, spec: ModelSpec) -> tuple[onnx.ModelProto, ModelSpec]:
    """Move the conversion of layout, color and scale into a graph.

    If the graph begins by quantizing its input to pixel / 255, the bytes go in unchanged instead.

    Args:
        model: A graph that takes float32 NCHW RGB in [0, 1]; not changed.
        spec: Its spec.

    Returns:
        An equivalent graph that takes uint8 NHWC BGR, and its spec.
    """
    graph = GraphEditor(model)
    readers = graph.readers(INPUT)
    if all(_quantizes_bytes(graph, node) for node in readers):
        graph.remove(readers)
        for node in readers:
            graph.redirect(node.output[0], "image/bytes")
    else:
        graph.redirect(INPUT, "image/tensor")
        scale = graph.add_constant("image/scale", np.array(spec.scale, np.float32))
        floats = graph.add("image/float", "Cast", ["image/bytes"], to=TensorProto.FLOAT)
        graph.add("image/tensor", "Div", [floats, scale])
    reverse = graph.add_constant("image/reverse", np.array([2, 1, 0]))
    channels_first = graph.add("image/channels_first", "Transpose", [INPUT], perm=[0, 3, 1, 2])
    graph.add("image/bytes", "Gather", [channels_first, reverse], axis=1)
    changed = graph.result()
    (image,) = changed.graph.input
    batch = image.type.tensor_type.shape.dim[0]
    width, height = spec.input_size
    shape = [batch.dim_param or batch.dim_value, height, width, 3]
    image.CopyFrom(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape))
    bytes_in = {"layout": "NHWC", "dtype": "uint8", "color": "BGR", "scale": 1.0}
    return changed, spec.model_copy(update=bytes_in)


def _quantizes_bytes(graph: GraphEditor, node: onnx.NodeProto) -> bool:
    if node.op_type != "QuantizeLinear":
        return False
    scale, zero = (graph.constant(name) for name in node.input[1:])
    if scale is None or zero is None:
        return False
    return zero.dtype == np.uint8 and not zero.any() and bool(np.allclose(scale * 255, 1, 1e-6))


def save_graph(model: onnx.ModelProto, metadata: Mapping[str, str], path: Path) -> None:
    """Write a graph with metadata as one sealed file.

    Args:
        model: The graph; its metadata is replaced.
        metadata: Metadata of the file.
        path: File to write.
    """
    del model.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(seal(model.SerializeToString()))
