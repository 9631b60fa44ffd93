"""Store of the models of one name: files by digest, and the state that names the current one.

STATE/models/NAME/state.json is the only authority and is replaced in one step: a process that is killed at
any moment leaves the state before or after it. Files that it does not name are removed later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.edge.host.file_version import file_version
from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.edge.service.store.store_state import (
    InstalledModel,
    ProbationState,
    StoreState,
    read_state,
)
from edgeloop.edge.service.store.stored_files import StoredFiles
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError

__all__ = ["MAX_STARTS", "ModelStore"]

log = logging.getLogger(__name__)

MAX_STARTS = 3
"""Starts of the service that did not end in order before a model on probation is given up."""

_LOCK_S = 10.0


class ModelStore:
    """Models of one name on this device.

    Every change is one step under a lock, so that commands and the running service can make them at the same
    time.

    Attributes:
        name: Name of the model.
        folder: Folder of the store.
        figures_file: File of the figures of the model in shadow.
    """

    def __init__(self, state_folder: Path, name: str) -> None:
        """Name a store; it need not exist.

        Args:
            state_folder: Folder of everything that the service keeps.
            name: Name of the model in the configuration.
        """
        self.name = name
        self.folder = state_folder / "models" / name
        self.figures_file = self.folder / "shadow.json"
        self._files = StoredFiles(self.folder / "files")
        self._file = self.folder / "state.json"

    @property
    def version(self) -> tuple[int, int, int] | None:
        """Version of the state, which every change changes; None if nothing is installed."""
        return file_version(self._file)

    def read(self) -> StoreState:
        """Read the state.

        Raises:
            DataError: It is damaged.
        """
        return read_state(self._file)

    def path(self, model: InstalledModel) -> Path:
        """Path of the file of a model."""
        return self._files.path(model)

    def current(self) -> Path:
        """Path of the current model, whose content was checked.

        If it is damaged, the previous model returns.

        Raises:
            NoInputError: No model is installed; the disk of the store may come later.
            DataError: No whole model is left.
        """
        state = self.read()
        if state.current is None:
            raise NoInputError(self._nothing())
        if self.is_whole(state.current):
            return self.path(state.current)
        if state.previous is None or not self.is_whole(state.previous):
            raise DataError(f"{self.path(state.current)}: is damaged or missing; install it again")
        try:
            self.roll_back("its file was damaged", only=state.current.digest)
        except EdgeloopError as error:  # such as a full disk; it returns all the same
            log.warning("model %s: %s", self.name, error)
        return self.path(state.previous)

    def is_whole(self, model: InstalledModel) -> bool:
        """True if the file of a model is there, with its facts if it has some, and has its digest."""
        return self._files.is_whole(model)

    def install(self, model: InstalledModel, content: bytes, facts: bytes = b"") -> StoreState:
        """Store a model and make it the current one, on probation if there was one before.

        Args:
            model: Its entry.
            content: Content of its file.
            facts: Content of its facts, if it has some.

        Raises:
            DataError: The store is in use or damaged.
            UnavailableError: It cannot be written.
        """
        return self._change(lambda state: state.with_current(model, "installed"), model, content, facts)

    def shadow(self, model: InstalledModel, content: bytes, facts: bytes = b"") -> StoreState:
        """Store a model as candidate; the arguments are those of `install`.

        Raises:
            DataError: There is no current model, it is this one, or the store is in use or damaged.
            UnavailableError: It cannot be written.
        """
        return self._change(lambda state: state.with_candidate(model), model, content, facts)

    def promote(self, digest: str, *, forced: bool = False) -> StoreState:
        """Make the candidate the current model, on probation.

        Args:
            digest: Digest of the candidate whose figures were judged.
            forced: True if rules were overridden.

        Raises:
            DataError: The candidate is another one or damaged, or the store is in use or damaged.
            UnavailableError: It cannot be written.
        """

        def step(state: StoreState) -> StoreState:
            if state.candidate is None or state.candidate.digest != digest:
                raise DataError("the candidate was replaced meanwhile; look at its figures again")
            if not self.is_whole(state.candidate):
                raise DataError("the file of the candidate is damaged; edgeloop shadow puts it there again")
            return state.with_current(state.candidate, "promoted", forced=forced)

        return self._change(step)

    def roll_back(self, reason: str = "", *, only: str | None = None) -> StoreState:
        """Make the previous model the current one again.

        Args:
            reason: Why; "" if somebody asked for it.
            only: Digest of the current model that is given up; nothing happens if it is another one
                meanwhile. None for any.

        Raises:
            DataError: There is no whole previous model, or the store is in use or damaged.
            UnavailableError: It cannot be written.
        """

        def step(state: StoreState) -> StoreState:
            if only is not None and (state.current is None or state.current.digest != only):
                return state
            if state.previous is not None and not self.is_whole(state.previous):
                raise DataError("the file of the previous model is damaged")
            return state.rolled_back(reason)

        return self._change(step)

    def confirm(self, digest: str, reason: str) -> StoreState:
        """End the probation of the current model, if it is still the one with this digest.

        Raises:
            DataError: The store is in use or damaged.
            UnavailableError: It cannot be written.
        """
        return self._change(lambda state: state.confirmed(reason) if _is_current(state, digest) else state)

    def save_probation(self, digest: str, probation: ProbationState) -> StoreState:
        """Save how far the probation of a model is, if it is still on probation.

        Raises:
            DataError: The store is in use or damaged.
            UnavailableError: It cannot be written.
        """

        def step(state: StoreState) -> StoreState:
            if state.probation is None or not _is_current(state, digest):
                return state
            return state.model_copy(update={"probation": probation})

        return self._change(step)

    def begin_service(self) -> Path:
        """Count a start of the service if the current model is on probation, and return its file.

        The previous model returns if too many starts did not end in order. A disk that cannot be written
        keeps no service from its start.

        Raises:
            NoInputError: No model is installed; the disk of the store may come later.
            DataError: No whole model is left.
        """
        state = self.read()
        if state.current is not None and state.probation is not None:
            starts = state.probation.starts + 1
            try:
                if starts > MAX_STARTS:
                    reason = f"the service was started {starts} times within its probation"
                    log.error("model %s: %s is given up: %s", self.name, state.current.digest[:12], reason)
                    self.roll_back(reason, only=state.current.digest)
                else:
                    counted = state.probation.model_copy(update={"starts": starts})
                    self.save_probation(state.current.digest, counted)
            except EdgeloopError as error:
                log.warning("model %s: %s", self.name, error)
        return self.current()

    def end_service(self) -> None:
        """Take back the start that was counted: the service ends in order, for whatever reason.

        Raises:
            DataError: The store is in use or damaged.
            UnavailableError: It cannot be written.
        """

        def step(state: StoreState) -> StoreState:
            if state.probation is None or not state.probation.starts:
                return state
            counted = state.probation.model_copy(update={"starts": state.probation.starts - 1})
            return state.model_copy(update={"probation": counted})

        self._change(step)

    def clean(self) -> None:
        """Remove the files that the state does not name and nobody holds."""
        with self._locked():
            self._files.clean(self.read().models)

    def _change(
        self,
        step: Callable[[StoreState], StoreState],
        model: InstalledModel | None = None,
        content: bytes = b"",
        facts: bytes = b"",
    ) -> StoreState:
        """Make one change, with new files before it if there are some."""
        if model is None and self.version is None:
            raise DataError(self._nothing())
        self._files.make()
        with self._locked():
            state = self.read()
            try:
                changed = step(state)
                if model is not None and not self.is_whole(model):
                    self._files.write(model, content, facts)
                if changed != state:
                    replace_file(self._file, changed.model_dump_json(indent=1).encode())
                    state = changed
            except DataError as error:
                raise DataError(f"models.{self.name}: {error}") from error
            self._files.clean(state.models)
            return state

    def _nothing(self) -> str:
        state = self.folder.parent.parent
        return (
            f"models.{self.name}: no model is installed; "
            f"edgeloop install x.onnx --state {state} --name {self.name}"
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        refusal = f"models.{self.name}: the store is in use by another command; try again"
        with locked_folder(self.folder, refusal, wait_s=_LOCK_S):
            yield


def _is_current(state: StoreState, digest: str) -> bool:
    return state.current is not None and state.current.digest == digest
