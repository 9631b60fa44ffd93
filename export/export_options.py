"""What a bundle is to look like, and how far it may drift from the model that was trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edgeloop.models.errors import UsageError

__all__ = ["INPUTS", "PRECISIONS", "ExportOptions", "Input", "Precision"]

Precision = Literal["fp32", "fp16", "int8", "auto"]
Input = Literal["tensor", "image"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
INPUTS: tuple[Input, ...] = get_args(Input)

# What Hailo's tools are fed, and the newest that torch's exporter writes.
_OPSETS = range(11, 21)
_BY_CHANNEL = 13  # the oldest that quantises weights by channel


@dataclass(frozen=True)
class ExportOptions:
    """How a detector is exported.

    Attributes:
        imgsz: Side of the bundle's square input, px, a multiple of 32; None takes the training's.
        precision: Of the bundle; "auto" takes the fastest on this machine among those that pass the gate.
        input: "tensor" takes float32 NCHW RGB in [0, 1], as other tools feed it; "image" takes letterboxed
            uint8 NHWC BGR, with scaling and layout inside the graph. The former is the default because
            `yolo predict` and converters run it; the latter saves a quarter of a millisecond a frame.
        dynamic_batch: Whether the number of images at once is left open.
        opset: Of ONNX. 13 is old enough for TensorRT 8, OpenVINO, QNN and CoreML converters, and new enough
            for quantisation by channel.
        end2end: None leaves the head as it was trained; False takes the classic head, with NMS outside.
        overwrite: Replace files that exist.
        target: Runtime that it is meant for, one of `edgeloop.export.targets.TARGETS`; None for any.
        tolerance_map: How much mAP50-95 a bundle may lose against torch.
        tolerance_boxes: Share of torch's boxes that a bundle may fail to repeat.
    """

    imgsz: int | None = None
    precision: Precision = "fp32"
    input: Input = "tensor"
    dynamic_batch: bool = False
    opset: int = 13
    end2end: bool | None = None
    overwrite: bool = False
    target: str | None = None
    tolerance_map: float = 0.01
    tolerance_boxes: float = 0.01

    def __post_init__(self) -> None:
        if self.imgsz is not None and (self.imgsz < 32 or self.imgsz % 32):
            raise UsageError(f"--imgsz {self.imgsz}: expected a multiple of 32")
        if self.opset not in _OPSETS:
            raise UsageError(f"--opset {self.opset}: expected {_OPSETS[0]} to {_OPSETS[-1]}")
        if self.precision in ("int8", "auto") and self.opset < _BY_CHANNEL:
            raise UsageError(f"--opset {self.opset}: int8 needs {_BY_CHANNEL} or more")
        for name in ("tolerance_map", "tolerance_boxes"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected 0 to 1")
