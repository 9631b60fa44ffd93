"""Load the detector of a run in the form that is exported."""

from __future__ import annotations

from pathlib import Path

from edgeloop.export.export_model import ExportModel
from edgeloop.export.network.blocks import folded
from edgeloop.export.network.compact_detector import NMS_IOU, STRIDES
from edgeloop.export.network.detector_weights import read_detector
from edgeloop.export.train.require import require_ultralytics
from edgeloop.export.train.run_record import RunRecord
from edgeloop.models.errors import DataError, UsageError

__all__ = ["load_trained"]


def load_trained(
    run: Path, record: RunRecord, *, end2end: bool | None = None, max_detections: int | None = None
) -> ExportModel:
    """Load the detector of a run in the form that is exported.

    Args:
        run: Folder of the run.
        record: Its record.
        end2end: Head to keep if the detector has both; None keeps the head as trained.
        max_detections: Maximum number of detections per image; None takes the record's.

    Raises:
        NoInputError: The run has no weights.
        ModelError: They cannot be read.
        DataError: They are of another number of classes than the record, or of another task.
        UsageError: The detector has no end-to-end head to keep.
        UnavailableError: Its trainer is not installed.
    """
    path = run / record.weights_file
    limit = max_detections or record.max_detections
    if record.trainer == "ultralytics":
        model = _ultralytics(path, run, end2end, limit)
    else:
        model = _edgeloop(path, end2end, limit)
    if len(record.names) != model.classes:
        raise DataError(f"{run}: run.json names {len(record.names)} classes, {path.name} has {model.classes}")
    if (record.task == "segment") != (model.head == "segment"):
        raise DataError(
            f"{run}: run.json names the task {record.task}, {path.name} has the head {model.head}"
        )
    return model


def _edgeloop(path: Path, end2end: bool | None, limit: int) -> ExportModel:
    if end2end:
        raise UsageError("end2end: this detector has the classic head alone, which needs NMS outside")
    detector, names = read_detector(path)
    return ExportModel(
        module=folded(detector).requires_grad_(False),
        head="segment" if detector.masks else "classic",
        classes=len(names),
        stride=max(STRIDES),
        max_detections=limit,
        iou=NMS_IOU,
    )


def _ultralytics(path: Path, run: Path, end2end: bool | None, limit: int) -> ExportModel:
    require_ultralytics(f"{run} was trained with ultralytics")
    # Imported here because ultralytics is optional.
    from edgeloop.export.ultralytics.load_checkpoint import load_checkpoint

    return load_checkpoint(path, end2end=end2end, max_detections=limit)
