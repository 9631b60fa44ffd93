"""Messages about models of another kind: what they are, what is expected, and the way out."""

from __future__ import annotations

from collections.abc import Sequence

from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["SEGMENTS_AFTER_NMS", "describe_input", "describe_outputs", "list_tensors"]

SEGMENTS_AFTER_NMS = (
    "a model of another kind: segmentation with NMS in its graph, expected one without; export it again with "
    "nms=None"
)


def describe_input(inputs: Sequence[TensorInfo]) -> str:
    """Describe why these inputs are not those of a detector, in one line."""
    kinds = {
        "scale_factor": "PaddleDetection (im_shape, scale_factor); export RT-DETR from its PyTorch code",
        "pixel_mask": "DETR or YOLOS of transformers (pixel_mask); export RT-DETR, D-FINE or RF-DETR",
        "input_ids": "a detector with a text prompt; train a detector on labels that it draws",
    }
    family = next((said for name, said in kinds.items() if any(i.name == name for i in inputs)), None)
    return (
        f"a model of another kind: {f'{family}; ' if family else ''}"
        f"expected one image of 3 channels as input, got {list_tensors(inputs)}"
    )


def describe_outputs(outputs: Sequence[TensorInfo]) -> str:
    """Describe why these outputs are not those of a detector, in one line."""
    return (
        f"a model of another kind: {_family(outputs)}expected one output (1, K, 6) or (K, 7) 'end2end', "
        "(1, 4 + classes, N) 'classic', (1, N, 5 + classes) 'yolov5' or 'yolox', "
        "(1, 5 + classes, H/16, W/16) 'fastestdet', the six of 'nanodet', (1, 4 + classes + K, N) and "
        "(1, K, H/4, W/4) 'segment', or labels, boxes and scores, or "
        f"boxes and logits of 'detr', got {list_tensors(outputs)}"
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
        return "a segmentation model, not as YOLOv8 and YOLO11 write it; export one of these, or train one; "
    if names >= {"num_dets"} or names >= {"num_detections"}:
        return "NMS for TensorRT or TensorFlow in the graph; export again without (YOLOv7: no --end2end); "
    if ranks == [2] and shapes[0][1] != 7:
        return "a classification model; export a detection one; "
    if ranks == [2, 1, 1] or {"boxes", "labels", "scores"} <= names:
        return "a detector of torchvision; train one with `edgeloop train`, or export RT-DETR; "
    return ""


def list_tensors(tensors: Sequence[TensorInfo]) -> str:
    """List the first two tensors, and the number of the others."""
    shown = ", ".join(str(tensor) for tensor in tensors[:2])
    return shown if len(tensors) <= 2 else f"{shown} and {len(tensors) - 2} more"
