"""Settings of a detector from the shapes of its input and outputs."""

from __future__ import annotations

from collections.abc import Sequence

from edgeloop.models.errors import ModelError
from edgeloop.models.facts.overrides import MAX_SIDE, MIN_SIDE, Dtype, Layout, SpecOverrides
from edgeloop.models.facts.tensor_info import TensorInfo
from edgeloop.models.heads import Head, cell_count, fastestdet, nanodet

__all__ = ["check_output", "facts_from_input", "head_from_output"]

_INPUT_DTYPES: dict[str, Dtype] = {"float32": "float32", "float16": "float16", "uint8": "uint8"}
_OUTPUT_DTYPES = ("float32", "float16")


def facts_from_input(inputs: Sequence[TensorInfo]) -> SpecOverrides:
    """Infer layout, dtype and, if it is fixed, the size of the input.

    Args:
        inputs: Inputs of the model.

    Returns:
        The settings that are certain.

    Raises:
        ModelError: The model does not take one image.
    """
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].dtype not in _INPUT_DTYPES:
        raise ModelError(_another_input(inputs))
    (image,) = inputs
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


def head_from_output(outputs: Sequence[TensorInfo], input_size: tuple[int, int]) -> Head | None:
    """Infer the head from an output shape that no other head has.

    A raw YOLOX head is never inferred: one that decodes its boxes itself has the same shape.

    Args:
        outputs: Outputs of the model.
        input_size: (width, height) of the input in pixels.

    Returns:
        The head; None if the shape is ambiguous.

    Raises:
        ModelError: No supported head has such outputs.
    """
    if _is_nanodet(outputs, input_size):
        return "nanodet"
    output = _only_output(outputs)
    cells = cell_count(input_size)
    match output.shape[1:]:
        case (int(channels), *grid) if channels > 5 and tuple(grid) == fastestdet.grid_shape(input_size):
            return "fastestdet"
        case (int(rows), 6) if rows != cells:
            return "end2end"
        case (int(channels), int(boxes)) if channels > 4 and boxes == cells:
            return "classic"
        case (rows, columns) if rows in (None, cells) or columns is None:
            return None
    raise ModelError(_another_output(outputs))


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
        raise ModelError(
            f"output {outputs[0]}: taken for '{head}' it has {classes} classes, "
            f"but there are {len(names)} names"
        )


def _read_as(
    head: Head, outputs: Sequence[TensorInfo], input_size: tuple[int, int]
) -> tuple[bool, int | None]:
    """Match outputs against a head: True if they fit, and their number of classes, None if open."""
    if head == "nanodet":
        return _is_nanodet(outputs, input_size), outputs[0].shape[-1] if outputs else None
    match _only_output(outputs).shape[1:]:
        case (_, third) if head == "end2end":
            return third in (None, 6), None
        case (second, _) if head == "classic":
            return second is None or second > 4, None if second is None else second - 4
        case (second, third) if head == "yolox":
            fits = second in (None, cell_count(input_size)) and (third is None or third > 5)
            return fits, None if third is None else third - 5
        case (int(second), third, fourth) if head == "fastestdet":
            rows, columns = fastestdet.grid_shape(input_size)
            return third in (None, rows) and fourth in (None, columns) and second > 5, second - 5
    return False, None


def _is_nanodet(outputs: Sequence[TensorInfo], input_size: tuple[int, int]) -> bool:
    """Test for the six outputs that no other detector has."""
    classes = outputs[0].shape[-1] if outputs and outputs[0].shape else None
    return (
        classes is not None
        and [output.shape for output in outputs] == nanodet.output_shapes(input_size, classes)
        and all(output.dtype in _OUTPUT_DTYPES for output in outputs)
    )


def _only_output(outputs: Sequence[TensorInfo]) -> TensorInfo:
    if len(outputs) != 1 or len(outputs[0].shape) not in (3, 4) or outputs[0].dtype not in _OUTPUT_DTYPES:
        raise ModelError(_another_output(outputs))
    if outputs[0].shape[0] not in (None, 1):
        raise ModelError(f"output {outputs[0]}: expected a batch of 1; export the model with one")
    return outputs[0]


def _another_input(inputs: Sequence[TensorInfo]) -> str:
    return f"a model of another kind: expected one image of 3 channels as input, got {_list(inputs)}"


def _another_output(outputs: Sequence[TensorInfo]) -> str:
    return (
        "a model of another kind: expected one output (1, K, 6) 'end2end', (1, 4 + classes, N) 'classic', "
        "(1, N, 5 + classes) 'yolox' or (1, 5 + classes, H/16, W/16) 'fastestdet', or the six of 'nanodet', "
        f"got {_list(outputs)}"
    )


def _list(tensors: Sequence[TensorInfo]) -> str:
    shown = ", ".join(str(tensor) for tensor in tensors[:2])
    return shown if len(tensors) <= 2 else f"{shown} and {len(tensors) - 2} more"
