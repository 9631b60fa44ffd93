"""API of the jobs: start, pause and go on. What they make is in `label_api`, `train_api` and `teach_api`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, ValidationError

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.edge.web.web_app import ends_with
from edgeloop.labeling.studio.finished_dataset import FinishedDataset
from edgeloop.labeling.studio.jobs.job_files import (
    label_is_locked,
    put_aside,
    teach_is_locked,
    train_is_locked,
    unfinished_label,
    unfinished_train,
)
from edgeloop.labeling.studio.jobs.label_api import label_api
from edgeloop.labeling.studio.jobs.runner import JobStatus, Runner, Verb, command_line, read_tail
from edgeloop.labeling.studio.jobs.teach_api import teach_api
from edgeloop.labeling.studio.jobs.train_api import train_api
from edgeloop.labeling.studio.jobs.verb_options import (
    ExportSettings,
    LabelSettings,
    Settings,
    TeachSettings,
    TrainSettings,
    exported_files,
)
from edgeloop.labeling.studio.label_outlines import labels_task
from edgeloop.labeling.studio.project import Project
from edgeloop.labeling.studio.proposals.proposer import Proposer
from edgeloop.models.errors import DataError, UnavailableError, UsageError, first_validation_error

__all__ = ["jobs_api"]

_KINDS: dict[Verb, type[LabelSettings | TrainSettings | ExportSettings | TeachSettings]] = {
    "label": LabelSettings,
    "train": TrainSettings,
    "export": ExportSettings,
    "teach": TeachSettings,
}


_RESUMABLE: tuple[Verb, ...] = ("export", "teach")
"""Verbs that take an earlier result over: replaced, or gone on with."""


class _Job(JobStatus):
    """Status of a verb, with what is on disk.

    Attributes:
        settings: Options of the last start; the defaults if there was none.
        elsewhere: True if another process, such as a terminal, does this job now.
        unfinished: True if the same command goes on with what is done.
        exists: True if its result exists.
        log: End of its output.
    """

    settings: dict[str, Any]
    elsewhere: bool
    unfinished: bool
    exists: bool
    log: str


class _Start(BaseModel):
    """Start of a verb.

    Attributes:
        settings: Options of the verb.
        anew: True to rename an earlier result or unfinished work first.
    """

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any] = {}
    anew: bool = False


class _Command(BaseModel):
    """Command line of a verb.

    Attributes:
        command: Command line that does the same.
    """

    command: str


def jobs_api(
    project: Project,
    proposer: Proposer,
    dataset: FinishedDataset,
    *,
    before_dataset_is_read: Callable[[], None],
) -> APIRouter:
    """Build the API of a project's jobs; proposals pause while one runs.

    Args:
        project: The project.
        proposer: Its proposals.
        dataset: Its dataset.
        before_dataset_is_read: Called before a job reads the dataset.
    """
    runner = Runner(project.work / "logs", project.events, on_start=proposer.pause, on_end=proposer.resume)
    saved = _SavedSettings(project.work / "jobs.json")
    starting = threading.Lock()

    api = APIRouter(tags=["jobs"], lifespan=ends_with(runner.close))
    files = _JobFiles(project)

    def describe(verb: Verb) -> _Job:
        status = runner.status(verb)
        own = status.status in ("running", "pausing")
        elsewhere = not own and files.locked(verb)
        unfinished = files.unfinished(verb)
        if status.status in ("idle", "paused", "done") and not elsewhere:
            now = "paused" if unfinished else "done" if files.exists(verb) else "idle"
            status = status.model_copy(update={"status": now})
        return _Job(
            **dict(status),
            settings=saved.of(verb).model_dump(),
            elsewhere=elsewhere,
            unfinished=unfinished,
            exists=files.exists(verb),
            log=read_tail(runner.log(verb)),
        )

    @api.get("/jobs/{verb}")
    def job(verb: Verb) -> _Job:
        """Status of a verb."""
        return describe(verb)

    @api.get("/jobs/{verb}/options")
    def options(verb: Verb) -> dict[str, Any]:
        """JSON schema of the `settings` of a verb."""
        return _KINDS[verb].model_json_schema()

    @api.post("/jobs/{verb}/command")
    def command(verb: Verb, settings: Annotated[dict[str, Any], Body()]) -> _Command:
        """Command line that these options start."""
        return _Command(command=command_line(_checked(verb, settings).arguments(project)))

    @api.post("/jobs/{verb}/start")
    def start(verb: Verb, body: _Start) -> _Job:
        """Start a verb, or go on with what an earlier start left unfinished."""
        settings = _checked(verb, body.settings)
        with starting:  # two pages may ask at once, and the second must not put the work of the first aside
            if (running := runner.running()) is not None:
                raise DataError(f"{running}: is still running; pause it first")
            if files.locked(verb):
                raise DataError(
                    f"{verb}: another process, such as a terminal, is doing this; end it there first"
                )
            rewrites = not body.anew and files.rewrites(settings)
            if verb == "label" and (body.anew or rewrites) and files.locked("train"):
                raise DataError("train: another process, such as a terminal, reads the labels; end it")
            if body.anew:
                files.put_aside(verb, settings)
            elif files.exists(verb) and verb not in _RESUMABLE and not rewrites:
                result = files.result(verb, settings)
                raise DataError(f"{result}: exists already; start anew to rename it first")
            if verb in ("train", "export") or rewrites:
                before_dataset_is_read()
            saved.put(verb, settings)
            runner.start(verb, settings.arguments(project))
        return describe(verb)

    @api.post("/jobs/{verb}/pause")
    def pause(verb: Verb) -> _Job:
        """Pause a verb: it keeps what is done, and ends."""
        runner.pause(verb)
        return describe(verb)

    api.include_router(label_api(project, dataset, lambda: saved.of("label")))
    api.include_router(train_api(project))
    api.include_router(teach_api(project))
    return api


class _JobFiles:
    """Results of the verbs on disk."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def result(self, verb: Verb, settings: Settings) -> Path:
        project = self._project
        if isinstance(settings, ExportSettings):
            return settings.bundle(project)
        return {"label": project.dataset, "train": project.run}.get(verb, project.loop)

    def exists(self, verb: Verb) -> bool:
        project = self._project
        if verb == "teach":
            return (project.loop / "current.json").is_file()
        if verb == "export":
            return bool(project.bundles)
        return (project.dataset if verb == "label" else project.run).exists()

    def locked(self, verb: Verb) -> bool:
        if verb == "label":
            return label_is_locked(self._project.dataset)
        if verb == "teach":
            return teach_is_locked(self._project.loop)
        return verb == "train" and train_is_locked(self._project.run)

    def unfinished(self, verb: Verb) -> bool:
        if verb == "teach":
            return self._project.loop.is_dir() and not self.exists(verb)
        path = self._unfinished(verb)
        return path is not None and path.is_dir()

    def rewrites(self, settings: Settings) -> bool:
        """True if `edgeloop label` writes the labels that exist again, for another task."""
        if not isinstance(settings, LabelSettings) or self.unfinished("label"):
            return False
        return labels_task(self._project.dataset) not in (None, settings.task)

    def put_aside(self, verb: Verb, settings: Settings) -> None:
        result = self.result(verb, settings)
        made = exported_files(result) if verb == "export" else [result]
        try:
            for path in (*made, self._unfinished(verb)):
                if path is not None:
                    put_aside(path)
        except OSError as error:
            raise UnavailableError(f"{result}: cannot be renamed ({error.strerror})") from error

    def _unfinished(self, verb: Verb) -> Path | None:
        if verb == "label":
            return unfinished_label(self._project.dataset)
        return unfinished_train(self._project.run) if verb == "train" else None


class _SavedSettings:
    """Options of the last start of each verb, so that another studio goes on with the same command."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, verb: Verb) -> Any:
        with suppress(OSError, ValueError, AttributeError):
            return _KINDS[verb].model_validate(json.loads(self._path.read_text("utf-8")).get(verb, {}))
        return _KINDS[verb]()

    def put(self, verb: Verb, settings: Settings) -> None:
        everything = {each: self.of(each).model_dump() for each in _KINDS} | {verb: settings.model_dump()}
        replace_file(self._path, json.dumps(everything, indent=1).encode() + b"\n")


def _checked(verb: Verb, settings: dict[str, Any]) -> Settings:
    try:
        return _KINDS[verb].model_validate(settings)
    except ValidationError as error:
        raise UsageError(first_validation_error(error, "options")) from error
