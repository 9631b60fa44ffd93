"""From a trained detector in torch to an ONNX graph, in the form of input that was asked for."""

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
from edgeloop.export.graph.rewrite import Rewrite
from edgeloop.export.graph.split_conv import split_convolutions
from edgeloop.models.bundle.seal import seal
from edgeloop.models.errors import UsageError
from edgeloop.models.spec import ModelSpec

__all__ = ["INPUT", "model_spec", "prepare_model", "save_graph", "to_onnx", "with_image_input"]

#: Name of the graph's only input.
INPUT = "images"
_OUTPUT = "output0"


def prepare_model(model: DetectionModel, *, end2end: bool | None = None) -> DetectionModel:
    """The model as it is exported, and as torch runs it for comparison: folded, output and nothing else.

    Args:
        model: A trained detector, changed in place.
        end2end: Which head to keep, where the model has both; None leaves it as it was trained.

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
    """How the graph of a prepared model is run.

    Args:
        model: What `prepare_model` returned.
        names: Class names.
        size: (width, height) of the input, px.

    Returns:
        The spec, of the form of input "tensor".
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
    """Write a prepared model down as a graph.

    Args:
        model: What `prepare_model` returned.
        size: (width, height) of the input, px.
        options: For the opset and the batch.

    Returns:
        The graph: float32 (1, 3, H, W) RGB in [0, 1] in, what the head writes out.
    """
    width, height = size
    image = torch.zeros(1, 3, height, width)
    model(image)  # lays out the grid of cells, which the graph then holds as a constant
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own future
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            model, (image,), path, opset_version=options.opset, input_names=[INPUT], output_names=[_OUTPUT],
            dynamic_axes={INPUT: {0: "batch"}, _OUTPUT: {0: "batch"}} if options.dynamic_batch else None,
            dynamo=False,
        )  # fmt: skip
        return split_convolutions(onnxslim.slim(onnx.load(path)))


def with_image_input(model: onnx.ModelProto, spec: ModelSpec) -> tuple[onnx.ModelProto, ModelSpec]:
    """Put layout, colour and scale into a graph.

    Where the graph begins by quantising its input to pixel / 255, the bytes are that already: they go in as
    they are, and no value changes.

    Args:
        model: A graph whose input is float32 NCHW RGB in [0, 1]; left as it is.
        spec: How it is run.

    Returns:
        The same graph behind uint8 NHWC BGR, and how that is run.
    """
    graph = Rewrite(model)
    readers = graph.readers(INPUT)
    if all(_quantises_bytes(graph, node) for node in readers):
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


def _quantises_bytes(graph: Rewrite, node: onnx.NodeProto) -> bool:
    if node.op_type != "QuantizeLinear":
        return False
    scale, zero = (graph.constant(name) for name in node.input[1:])
    if scale is None or zero is None:
        return False
    return zero.dtype == np.uint8 and not zero.any() and bool(np.allclose(scale * 255, 1, 1e-6))


def save_graph(model: onnx.ModelProto, metadata: Mapping[str, str], path: Path) -> None:
    """Write a graph as one file that explains itself.

    Args:
        model: The graph.
        metadata: All that the file says about itself.
        path: File to write.
    """
    del model.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(seal(model.SerializeToString()))
