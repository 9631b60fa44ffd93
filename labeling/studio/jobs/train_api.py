"""API of a training's curves and of the reports of exports."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError

from edgeloop.export.report.report_files import ReportFiles, report_files
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


class _Report(BaseModel):
    """Report of a bundle.

    Attributes:
        report: Report of its last export, fields as of detector.json; `refused` has the reasons if it was.
        worst: Version of the picture of the worst frames; null if there is none.
    """

    report: dict[str, Any]
    worst: str | None


class _Export(BaseModel):
    """Exports of the run.

    Attributes:
        run: True if there is a run to export.
        targets: Runtimes whose tools are installed.
        reports: Reports of bundles that exist or were refused, the last one first.
    """

    run: bool
    targets: list[str]
    reports: list[_Report]


def train_api(project: Project) -> APIRouter:
    """Build the API of a project's run and bundle."""
    api = APIRouter()

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
        """Reports of the exports."""
        files = [found for bundle in project.possible_bundles if (found := _report_of(bundle)) is not None]
        files.sort(key=lambda own: -_written(own.document))
        return _Export(
            run=(project.run / "run.json").is_file(),
            targets=[name for name, target in TARGETS.items() if target.is_installed],
            reports=[
                _Report(report=report, worst=str(_written(own.picture) or "") or None)
                for own in files
                if (report := _json(own.document)) is not None
            ],
        )

    @api.get("/export/worst", response_class=Response)
    def worst_frames(bundle: Annotated[str, Query(max_length=100)]) -> Response:
        """Picture of the frames on which torch, left, and a bundle, right, differ most, JPEG."""
        path = next((own for own in project.possible_bundles if own.name == bundle), None)
        files = None if path is None else _report_of(path)
        try:
            if files is None:
                raise FileNotFoundError
            return Response(files.picture.read_bytes(), media_type="image/jpeg")
        except OSError as error:
            raise NoInputError("there is no picture; export first") from error

    return api


def _report_of(bundle: Path) -> ReportFiles | None:
    """Files of the report of the last export of a bundle; None if there is none."""
    refused, made = report_files(bundle, refused=True), report_files(bundle)
    if refused.document.is_file():
        return refused
    return made if bundle.is_file() and made.document.is_file() else None


def _written(path: Path) -> int:
    """Time at which a file was written, ns; 0 if there is none."""
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0


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
