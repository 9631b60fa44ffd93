"""Options of an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edgeloop.models.errors import UsageError
from edgeloop.models.facts.overrides import MOST_DETECTIONS, SpecOverrides

__all__ = ["INPUTS", "PRECISIONS", "ExportOptions", "Input", "Precision"]

Precision = Literal["fp32", "fp16", "int8", "auto"]
Input = Literal["tensor", "image"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
INPUTS: tuple[Input, ...] = get_args(Input)

# From what Hailo's tools read to the newest that torch's exporter writes.
_OPSETS = range(11, 21)
_PER_CHANNEL_OPSET = 13  # the oldest that quantizes weights per channel


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        imgsz: Side of the bundle's square input, px, a multiple of 32; None takes the training's.
        precision: Numeric precision; "auto" takes the fastest on this machine that passes the gate.
        input: "tensor" takes float32 NCHW RGB in [0, 1], which `yolo predict` and converters expect; "image"
            takes letterboxed uint8 NHWC BGR and saves a quarter of a millisecond per frame.
        dynamic_batch: Leave the number of images per inference open.
        opset: ONNX opset. 13 is old enough for TensorRT 8, OpenVINO, QNN and CoreML converters, and new
            enough for quantization per channel.
        end2end: None keeps the head as trained; False exports the classic head, with non-maximum suppression
            outside of the graph.
        max_detections: Maximum number of detections per image; None takes the training's.
        settings: What the bundle reports: minimum scores, classes, sizes, tiles; None for the defaults. The
            checks against torch are made without.
        overwrite: Replace files that exist.
        target: Runtime to export for, one of `edgeloop.export.targets.TARGETS`; None for any.
        chip: Chip of the target; None for the target's first.
        parent_sha256: Digest of the bundle in use that this one is to replace, for its record; None for
            the first.
        tolerance_map: Maximum loss of mAP50-95 against torch.
        tolerance_boxes: Maximum share of torch's boxes that the bundle may miss.

    Raises:
        UsageError: A value is out of range.
    """

    imgsz: int | None = None
    precision: Precision = "fp32"
    input: Input = "tensor"
    dynamic_batch: bool = False
    opset: int = 13
    end2end: bool | None = None
    max_detections: int | None = None
    settings: SpecOverrides | None = None
    overwrite: bool = False
    target: str | None = None
    chip: str | None = None
    parent_sha256: str | None = None
    tolerance_map: float = 0.01
    tolerance_boxes: float = 0.01

    def __post_init__(self) -> None:
        if self.imgsz is not None and (self.imgsz < 32 or self.imgsz % 32):
            raise UsageError(f"--imgsz {self.imgsz}: expected a multiple of 32")
        if self.opset not in _OPSETS:
            raise UsageError(f"--opset {self.opset}: expected {_OPSETS[0]} to {_OPSETS[-1]}")
        if self.precision in ("int8", "auto") and self.opset < _PER_CHANNEL_OPSET:
            raise UsageError(f"--opset {self.opset}: int8 needs {_PER_CHANNEL_OPSET} or more")
        if self.max_detections is not None and not 1 <= self.max_detections <= MOST_DETECTIONS:
            raise UsageError(f"--max-detections {self.max_detections}: expected 1 to {MOST_DETECTIONS}")
        if self.chip is not None and self.target is None:
            raise UsageError(f"--chip {self.chip}: expected with --target")
        for name in ("tolerance_map", "tolerance_boxes"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected 0 to 1")
