"""API of a training's curves and of an export's report."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError

from edgeloop.export.targets import TARGETS
from edgeloop.export.train.run_record import RunRecord, read_record
from edgeloop.export.trainer import Epoch
from edgeloop.labeling.studio.jobs.job_files import unfinished_train
from edgeloop.labeling.studio.project import Project
from edgeloop.models.errors import EdgeloopError, NoInputError

__all__ = ["train_api"]

_EPOCHS = "epochs.json"


class _Training(BaseModel):
    """Course of the training that is unfinished, or else of the run.

    Attributes:
        dataset: True if there is a dataset to train on.
        epochs: Loss, and mAP of epochs that were validated.
        record: Record of the finished run without its epochs; null until there is one.
    """

    dataset: bool
    epochs: list[Epoch]
    record: dict[str, Any] | None


class _Export(BaseModel):
    """Reports of the last export, fields as of detector.json.

    Attributes:
        run: True if there is a run to export.
        targets: Runtimes whose tools are installed.
        report: Report of the bundle that was made last and exists; null if there is none.
        refused: Report of the last export, if it was refused.
        worst: Version of the picture of the worst frames; null if there is none.
    """

    run: bool
    targets: list[str]
    report: dict[str, Any] | None
    refused: dict[str, Any] | None
    worst: str | None


def train_api(project: Project) -> APIRouter:
    """Build the API of a project's run and bundle."""
    api = APIRouter()

    def beside(suffix: str) -> Path:
        return project.bundle.with_name(project.bundle.stem + suffix)

    def picture() -> Path:
        refused = beside(".refused.worst.jpg")
        return refused if refused.is_file() else beside(".worst.jpg")

    @api.get("/training")
    def training() -> _Training:
        """Course of the training."""
        record = _record(project.run)
        epochs = _epochs(unfinished_train(project.run))
        shown = None if record is None else record.model_dump(mode="json", exclude={"epochs"})
        return _Training(
            dataset=(project.dataset / "data.yaml").is_file(),
            epochs=list(record.epochs) if record is not None and not epochs else epochs,
            record=shown,
        )

    @api.get("/export")
    def export() -> _Export:
        """Reports of the last export."""
        worst, report = picture(), _json(beside(".json"))
        names = [path.name for path in project.bundles]
        return _Export(
            run=(project.run / "run.json").is_file(),
            targets=[name for name, target in TARGETS.items() if target.is_installed],
            report=report if report and report.get("bundle") in names else None,
            refused=_json(beside(".refused.json")),
            worst=str(worst.stat().st_mtime_ns) if worst.is_file() else None,
        )

    @api.get("/export/worst", response_class=Response)
    def worst_frames() -> Response:
        """Picture of the frames on which torch, left, and the bundle, right, differ most, JPEG."""
        try:
            return Response(picture().read_bytes(), media_type="image/jpeg")
        except OSError as error:
            raise NoInputError("there is no picture; export first") from error

    return api


def _record(run: Path) -> RunRecord | None:
    with suppress(EdgeloopError, OSError):
        return read_record(run)
    return None


def _epochs(unfinished: Path) -> list[Epoch]:
    with suppress(OSError, ValueError, ValidationError, TypeError):
        return [Epoch.model_validate(one) for one in json.loads((unfinished / _EPOCHS).read_text("utf-8"))]
    return []


def _json(path: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text("utf-8"))
        return found if isinstance(found, dict) else None
    return None
