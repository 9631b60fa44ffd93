"""Settings of a detector from the shapes of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence

from edgeloop.models.errors import ModelError
from edgeloop.models.facts.overrides import MAX_SIDE, MIN_SIDE, Dtype, Layout, SpecOverrides
from edgeloop.models.facts.refusals import (
    SEGMENTS_AFTER_NMS,
    describe_input,
    describe_outputs,
    list_tensors,
)
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
        raise ModelError(describe_input(inputs))
    image, *others = inputs
    if len(others) > 1 or not all(other.takes_image_size for other in others):
        raise ModelError(describe_input(inputs))
    batch, second, third, fourth = image.shape
    layout: Layout
    if second == 3:
        layout, height, width = "NCHW", third, fourth
    elif fourth == 3:
        layout, height, width = "NHWC", second, third
    else:
        raise ModelError(describe_input(inputs))
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
    counts = {cell_count(input_size, strides): strides[-1] for strides in reversed(_STRIDES)}
    if _has_prototypes(outputs):
        return _segment_facts(outputs, counts)
    output = _only_output(outputs)
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
        case (_, _, int(rows), int(columns)) if 8 * rows >= input_size[1] and 8 * columns >= input_size[0]:
            raise ModelError(
                "a model of another kind: semantic segmentation, which tells no objects apart; train one "
                f"with --task segment; expected boxes or instance segmentation, got {list_tensors(outputs)}"
            )
    raise ModelError(describe_outputs(outputs))


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
        raise ModelError(f"{describe_outputs(outputs)}; it was taken for '{head}'")
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
    if head == "segment":
        return _is_segment(outputs, input_size)
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
            f"expected a detector of the families that docs/providers.md lists, got {list_tensors(outputs)}"
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


def _has_prototypes(outputs: Sequence[TensorInfo]) -> bool:
    return [len(output.shape) for output in outputs] == [3, 4]


def _segment_facts(outputs: Sequence[TensorInfo], counts: dict[int, int]) -> SpecOverrides:
    """Infer the head "segment" and its stride; refuse NMS in the graph and YOLOv5's order of axes."""
    match outputs[0].shape, outputs[1].shape[1]:
        case (_, int(channels), int(boxes)), int(masks) if channels > 4 + masks and boxes in counts:
            return SpecOverrides(head="segment", stride=counts[boxes])
        case (_, _, int(columns)), int(masks) if columns == 6 + masks:
            raise ModelError(SEGMENTS_AFTER_NMS)
        case (_, int(_), int(_)), int(_):
            raise ModelError(describe_outputs(outputs))
    return SpecOverrides()


def _is_segment(outputs: Sequence[TensorInfo], input_size: tuple[int, int]) -> tuple[bool, int | None]:
    """Match two outputs against the head "segment", and count the classes, None if open."""
    if not _has_prototypes(outputs) or not all(output.dtype in _OUTPUT_DTYPES for output in outputs):
        return False, None
    (batch, channels, boxes), (other_batch, masks, rows, columns) = (output.shape for output in outputs)
    if masks is not None and boxes == 6 + masks:
        raise ModelError(SEGMENTS_AFTER_NMS)
    width, height = input_size
    fits = {batch, other_batch} <= {None, 1} and (rows is None or 4 * rows == height)
    fits = fits and (columns is None or 4 * columns == width)
    if channels is None or masks is None:
        return fits, None
    return fits and channels > 4 + masks > 4, channels - 4 - masks


def _only_output(outputs: Sequence[TensorInfo]) -> TensorInfo:
    # Older exporters of YOLOv5 add the raw feature maps.
    if not outputs or not all(len(output.shape) == 5 for output in outputs[1:]):
        raise ModelError(describe_outputs(outputs))
    rows_of_seven = len(outputs[0].shape) == 2 and outputs[0].shape[1] == 7
    if not (len(outputs[0].shape) in (3, 4) or rows_of_seven) or outputs[0].dtype not in _OUTPUT_DTYPES:
        raise ModelError(describe_outputs(outputs))
    if not rows_of_seven and outputs[0].shape[0] not in (None, 1):
        raise ModelError(f"output {outputs[0]}: expected a batch of 1; export the model with one")
    return outputs[0]
