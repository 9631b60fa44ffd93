"""Settings of a detector from the shapes of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence

from edgeloop.models.errors import ModelError
from edgeloop.models.facts.overrides import MAX_SIDE, MIN_SIDE, Dtype, Layout, SpecOverrides
from edgeloop.models.facts.tensor_info import TensorInfo
from edgeloop.models.heads import Head, cell_count, fastestdet, nanodet
from edgeloop.models.heads.detr import Form, find_form
from edgeloop.models.heads.yolov5 import ANCHORS

__all__ = [
    "check_output",
    "facts_from_input",
    "facts_from_output_names",
    "facts_from_outputs",
]

_INPUT_DTYPES: dict[str, Dtype] = {"float32": "float32", "float16": "float16", "uint8": "uint8"}
_OUTPUT_DTYPES = ("float32", "float16")
# Strides of YOLO heads: P3 to P5, with P2, with P6, and the rarer ones.
_STRIDES = (
    (8, 16, 32),
    (4, 8, 16, 32),
    (8, 16, 32, 64),
    (4, 8, 16, 32, 64),
    (8, 16, 32, 64, 128),
    (4, 8, 16),
    (8, 16),
)
_MOST_QUERIES = 1000


def facts_from_input(inputs: Sequence[TensorInfo]) -> SpecOverrides:
    """Infer layout, dtype and, if it is fixed, the size of the input.

    Args:
        inputs: Inputs of the model.

    Returns:
        The settings that are certain.

    Raises:
        ModelError: The model does not take one image.
    """
    if not inputs or len(inputs[0].shape) != 4 or inputs[0].dtype not in _INPUT_DTYPES:
        raise ModelError(_another_input(inputs))
    image, *others = inputs
    if len(others) > 1 or not all(other.takes_image_size for other in others):
        raise ModelError(_another_input(inputs))
    batch, second, third, fourth = image.shape
    layout: Layout
    if second == 3:
        layout, height, width = "NCHW", third, fourth
    elif fourth == 3:
        layout, height, width = "NHWC", second, third
    else:
        raise ModelError(_another_input(inputs))
    if batch not in (None, 1):
        raise ModelError(f"input {image}: expected a batch of 1; export the model with one")
    if not all(side is None or MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
        raise ModelError(f"input {image}: expected sides of {MIN_SIDE} to {MAX_SIDE} pixels")
    return SpecOverrides(
        layout=layout,
        dtype=_INPUT_DTYPES[image.dtype],
        input_size=None if width is None or height is None else (width, height),
        # Bytes go in unscaled: any scaling is part of the graph.
        scale=1.0 if image.dtype == "uint8" else None,
    )


def facts_from_outputs(
    outputs: Sequence[TensorInfo], input_size: tuple[int, int] | None, names: Sequence[str] | None = None
) -> SpecOverrides:
    """Infer the head, and its strides, from outputs that no other head has.

    An output (1, cells, 5 + classes) is never inferred: YOLOX before decoding, with decoding and YOLOv6 share
    it.

    Args:
        outputs: Outputs of the model.
        input_size: (width, height) of the input in pixels; None if unknown.
        names: Class names in the metadata of the file; None if it has none.

    Returns:
        The settings that are certain; none if the shape is ambiguous.

    Raises:
        ModelError: No supported head has such outputs.
    """
    form = _detr_form(outputs)
    if form is not None and len(outputs) > 1:
        _check_queries(outputs, form, input_size)
        return SpecOverrides(head="detr")
    if input_size is None:
        return SpecOverrides()
    if _is_nanodet(outputs, input_size):
        return SpecOverrides(head="nanodet")
    output = _only_output(outputs)
    counts = {cell_count(input_size, strides): strides[-1] for strides in reversed(_STRIDES)}
    anchored = {ANCHORS * cells: stride for cells, stride in counts.items()}
    match output.shape:
        case (_, 7):
            return SpecOverrides(head="end2end")
        case (_, int(channels), *grid) if channels > 5 and tuple(grid) == fastestdet.grid_shape(input_size):
            return SpecOverrides(head="fastestdet")
        case (_, int(rows), 6) if rows not in counts and rows not in anchored:
            return SpecOverrides(head="end2end")
        case (_, int(channels), int(boxes)) if channels > 4 and boxes in counts:
            return SpecOverrides(head="classic", stride=counts[boxes])
        case (_, int(rows), int(columns)) if columns > 5 and rows in anchored:
            return SpecOverrides(head="yolov5", stride=anchored[rows])
        case (_, int(rows), int(columns)) if names and columns == 4 + len(names) and rows <= _MOST_QUERIES:
            return SpecOverrides(head="detr")
        case (_, int(channels), int(boxes)) if names and channels == 4 + len(names) and boxes > channels:
            return SpecOverrides(head="classic")  # of a grid that is cropped or thinned out
        case (_, None, int(columns)) if names and columns == 5 + len(names):
            return SpecOverrides(head="yolov5")  # its exporter writes names, YOLOX's none
        case (_, rows, columns) if rows is None or rows in counts or columns is None:
            return SpecOverrides()
    raise ModelError(_another_output(outputs))


def facts_from_output_names(outputs: Sequence[TensorInfo]) -> SpecOverrides:
    """Infer the normalization of RF-DETR, that of ImageNet, from the names of its outputs."""
    if {output.name for output in outputs} != {"dets", "labels"}:
        return SpecOverrides()
    return SpecOverrides(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def check_output(
    head: Head, outputs: Sequence[TensorInfo], input_size: tuple[int, int], names: Sequence[str]
) -> None:
    """Check that the outputs of a model fit its head and names.

    Args:
        head: Head of the model.
        outputs: Outputs of the model.
        input_size: (width, height) of the input in pixels.
        names: Class names.

    Raises:
        ModelError: The outputs do not fit the head, or the number of classes differs from that of the names.
    """
    fits, classes = _read_as(head, outputs, input_size)
    if not fits:
        raise ModelError(f"{_another_output(outputs)}; it was taken for '{head}'")
    if classes not in (None, len(names)):
        softmax = "; DETR and YOLOS, whose last class means no object, are not read" if head == "detr" else ""
        raise ModelError(
            f"output {outputs[0]}: taken for '{head}' it has {classes} classes, "
            f"but there are {len(names)} names{softmax}"
        )


def _read_as(
    head: Head, outputs: Sequence[TensorInfo], input_size: tuple[int, int]
) -> tuple[bool, int | None]:
    """Match outputs against a head: True if they fit, and their number of classes, None if open."""
    if head == "nanodet":
        return _is_nanodet(outputs, input_size), outputs[0].shape[-1] if outputs and outputs[
            0
        ].shape else None
    if head == "detr":
        form = _detr_form(outputs)
        return form is not None, form.classes if form else None
    if head == "raw":
        return _is_raw(outputs, input_size), outputs[1].shape[1] if len(outputs) > 1 else None
    match _only_output(outputs).shape:
        case (_, third) if head == "end2end":
            return third == 7, None
        case (_, _, third) if head == "end2end":
            return third in (None, 6), None
        case (_, second, _) if head == "classic":
            return second is None or second > 4, None if second is None else second - 4
        case (_, _, third) if head == "yolov5":
            return third is None or third > 5, None if third is None else third - 5
        case (_, second, third) if head == "yolox":
            fits = second in (None, cell_count(input_size)) and (third is None or third > 5)
            return fits, None if third is None else third - 5
        case (_, int(second), third, fourth) if head == "fastestdet":
            rows, columns = fastestdet.grid_shape(input_size)
            return third in (None, rows) and fourth in (None, columns) and second > 5, second - 5
    return False, None


def _detr_form(outputs: Sequence[TensorInfo]) -> Form | None:
    if not all(output.dtype in (*_OUTPUT_DTYPES, "int64", "int32") for output in outputs):
        return None
    if not all(output.shape and output.shape[0] in (None, 1) for output in outputs):
        return None
    return find_form(
        [output.shape for output in outputs],
        [output.dtype not in _OUTPUT_DTYPES for output in outputs],
        [output.name for output in outputs],
    )


def _check_queries(outputs: Sequence[TensorInfo], form: Form, input_size: tuple[int, int] | None) -> None:
    """Refuse boxes and scores of every cell, which only look like a set of boxes and logits."""
    boxes = outputs[form.boxes].shape[1]
    if form.labels is None and input_size is not None and boxes == cell_count(input_size):
        raise ModelError(
            "a model of another kind: boxes and scores of every cell (YOLO-NAS, PP-YOLOE) are not read; "
            f"expected a detector of the families that docs/providers.md lists, got {_list(outputs)}"
        )


def _is_nanodet(outputs: Sequence[TensorInfo], input_size: tuple[int, int]) -> bool:
    """Test for the six outputs that no other detector has."""
    classes = outputs[0].shape[-1] if outputs and outputs[0].shape else None
    return (
        classes is not None
        and [output.shape for output in outputs] == nanodet.output_shapes(input_size, classes)
        and all(output.dtype in _OUTPUT_DTYPES for output in outputs)
    )


def _is_raw(outputs: Sequence[TensorInfo], input_size: tuple[int, int]) -> bool:
    """Test for pairs of boxes and scores of the same grid, one pair per stride."""
    width, height = input_size
    grids = []
    for boxes, scores in zip(outputs[::2], outputs[1::2], strict=len(outputs) % 2 == 0):
        match boxes.shape, scores.shape:
            case (1 | None, int(sides), int(rows), int(columns)), (1 | None, int(_), y, x):
                grids.append((sides % 4 == 0 and (rows, columns) == (y, x), rows, columns))
    return (
        len(grids) > 0
        and 2 * len(grids) == len(outputs)
        and all(fits and width * y == height * x and not width % x for fits, y, x in grids)
        and all(output.dtype in _OUTPUT_DTYPES for output in outputs)
    )


def _only_output(outputs: Sequence[TensorInfo]) -> TensorInfo:
    # Older exporters of YOLOv5 add the raw feature maps.
    if not outputs or not all(len(output.shape) == 5 for output in outputs[1:]):
        raise ModelError(_another_output(outputs))
    rows_of_seven = len(outputs[0].shape) == 2 and outputs[0].shape[1] == 7
    if not (len(outputs[0].shape) in (3, 4) or rows_of_seven) or outputs[0].dtype not in _OUTPUT_DTYPES:
        raise ModelError(_another_output(outputs))
    if not rows_of_seven and outputs[0].shape[0] not in (None, 1):
        raise ModelError(f"output {outputs[0]}: expected a batch of 1; export the model with one")
    return outputs[0]


def _another_input(inputs: Sequence[TensorInfo]) -> str:
    kinds = {
        "scale_factor": "PaddleDetection (im_shape, scale_factor); export RT-DETR from its PyTorch code",
        "pixel_mask": "DETR or YOLOS of transformers (pixel_mask); export RT-DETR, D-FINE or RF-DETR",
        "input_ids": "a detector with a text prompt; train a detector on labels that it draws",
    }
    family = next((said for name, said in kinds.items() if any(i.name == name for i in inputs)), None)
    return (
        f"a model of another kind: {f'{family}; ' if family else ''}"
        f"expected one image of 3 channels as input, got {_list(inputs)}"
    )


def _another_output(outputs: Sequence[TensorInfo]) -> str:
    return (
        f"a model of another kind: {_family(outputs)}expected one output (1, K, 6) or (K, 7) 'end2end', "
        "(1, 4 + classes, N) 'classic', (1, N, 5 + classes) 'yolov5' or 'yolox', "
        "(1, 5 + classes, H/16, W/16) 'fastestdet', the six of 'nanodet', or labels, boxes and scores, or "
        f"boxes and logits of 'detr', got {_list(outputs)}"
    )


def _family(outputs: Sequence[TensorInfo]) -> str:
    """Describe a family that is told by its outputs, with the way out; "" if it is not told."""
    shapes, names = [output.shape for output in outputs], {output.name for output in outputs}
    ranks = [len(shape) for shape in shapes]
    if ranks and set(ranks) == {5}:
        return "feature maps of YOLOv5 or YOLOv7 before decoding; export again, YOLOv7 with --grid; "
    if len(ranks) > 1 and set(ranks) == {4}:
        return "feature maps before decoding; export again with the decoding in the graph; "
    if ranks == [3, 4]:
        return "a segmentation model; export a detection one; "
    if names >= {"num_dets"} or names >= {"num_detections"}:
        return "NMS for TensorRT or TensorFlow in the graph; export again without (YOLOv7: no --end2end); "
    if ranks == [2] and shapes[0][1] != 7:
        return "a classification model; export a detection one; "
    if ranks == [2, 1, 1] or {"boxes", "labels", "scores"} <= names:
        return "a detector of torchvision; train one with `edgeloop train`, or export RT-DETR; "
    return ""


def _list(tensors: Sequence[TensorInfo]) -> str:
    shown = ", ".join(str(tensor) for tensor in tensors[:2])
    return shown if len(tensors) <= 2 else f"{shown} and {len(tensors) - 2} more"
