"""Load a checkpoint of ultralytics in the form that is exported."""

from __future__ import annotations

from pathlib import Path

from ultralytics.nn.modules import Detect
from ultralytics.nn.tasks import DetectionModel

from edgeloop.export.export_model import ExportModel
from edgeloop.export.ultralytics.build_detector import load_detector
from edgeloop.models.errors import UsageError

__all__ = ["export_form", "load_checkpoint"]

_NMS_IOU = 0.7  # default of ultralytics' own tools


def load_checkpoint(path: Path, *, end2end: bool | None = None, max_detections: int = 300) -> ExportModel:
    """Load a detector from a checkpoint (.pt) in the form that is exported; see `export_form`.

    Raises:
        NoInputError: There is no such file.
        ModelError: The file cannot be read, or holds something else than a detector.
        UsageError: The detector has no end-to-end head to keep.
    """
    return export_form(load_detector(path), end2end=end2end, max_detections=max_detections)


def export_form(
    model: DetectionModel, *, end2end: bool | None = None, max_detections: int = 300
) -> ExportModel:
    """Fold batch norms and leave a single output.

    Args:
        model: Detector, changed in place.
        end2end: Head to keep if the detector has both; None keeps the head as trained.
        max_detections: Maximum number of detections per image.

    Raises:
        UsageError: The detector has no end-to-end head to keep.
    """
    if end2end is not None:
        if end2end and getattr(model.model[-1], "one2one_cv2", None) is None:
            raise UsageError("end2end: this detector has the classic head alone, which needs NMS outside")
        model.end2end = end2end
    model = model.float().eval().fuse(verbose=False)
    for module in model.modules():
        if isinstance(module, Detect):
            module.export, module.format, module.dynamic = True, "onnx", False
            module.max_det = max_detections
    head = model.model[-1]
    return ExportModel(
        module=model.requires_grad_(False),
        head="end2end" if head.end2end else "classic",
        classes=head.nc,
        stride=int(model.stride.max()),
        max_detections=head.max_det,
        iou=_NMS_IOU,
    )
