"""State of the store of one model: one small file, which is replaced as a whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edgeloop.models.errors import DataError, UnavailableError, describe_damage

__all__ = ["Action", "Change", "InstalledModel", "ProbationState", "StoreState", "read_state"]

MAX_CHANGES = 50
_MAX_BYTES = 1 << 20
_MAX_REASON = 500

Action = Literal["installed", "shadowed", "promoted", "rolled back", "confirmed"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class InstalledModel(_Data):
    """One model file in the store.

    Attributes:
        digest: SHA-256 of the file, or of its facts if it has some; also its name.
        suffix: Suffix of the file; any but ".onnx" has facts beside it.
        origin: Name of the file that was installed.
        installed: Time of installation, ISO 8601.
        proven: True if its golden sample was reproduced on this device.
        provider: Execution provider that it was verified on.
        latency_ms: Median time of one inference when it was verified.
    """

    digest: Sha256
    suffix: Annotated[str, StringConstraints(pattern=r"^\.[a-z0-9]{1,12}$")] = ".onnx"
    origin: Annotated[str, Field(max_length=255)] = ""
    installed: str = ""
    proven: bool = False
    provider: str = ""
    latency_ms: Annotated[float, Field(ge=0)] | None = None

    @property
    def has_facts(self) -> bool:
        """True if facts are beside the file."""
        return self.suffix != ".onnx"


class ProbationState(_Data):
    """Probation of the current model.

    Attributes:
        elapsed_s: Seconds of service since it became current, by a clock that does not jump.
        starts: Number of starts of the service that have not ended in order since then.
        reference_ms: Median latency of the model before it, when it was the current one; None if unknown.
        reference_provider: Execution provider of that model; "" if unknown.
    """

    elapsed_s: Annotated[float, Field(ge=0)] = 0.0
    starts: Count = 0
    reference_ms: Annotated[float, Field(ge=0)] | None = None
    reference_provider: str = ""


class Change(_Data):
    """Entry of the history.

    Attributes:
        time: Time of the change, ISO 8601.
        action: Kind of the change.
        digest: SHA-256 of the model that is current, or in shadow, since then.
        reason: Why it happened; "" if somebody asked for it.
        forced: True if rules were overridden.
    """

    time: str
    action: Action
    digest: Sha256
    reason: Annotated[str, Field(max_length=_MAX_REASON)] = ""
    forced: bool = False


class StoreState(_Data):
    """Models of one name.

    Attributes:
        version: Version of this format.
        current: Model that the cameras use.
        previous: Model that returns if the current one fails; the last one that was confirmed.
        candidate: Model that is compared with the current one.
        probation: Probation of the current model; None if it is confirmed.
        history: Changes, the newest last.
    """

    version: Literal[1] = 1
    current: InstalledModel | None = None
    previous: InstalledModel | None = None
    candidate: InstalledModel | None = None
    probation: ProbationState | None = None
    history: Annotated[tuple[Change, ...], Field(max_length=MAX_CHANGES)] = ()

    @property
    def models(self) -> list[InstalledModel]:
        """Models that are kept."""
        return [model for model in (self.current, self.previous, self.candidate) if model]

    @property
    def digests(self) -> set[str]:
        """Their digests."""
        return {model.digest for model in self.models}

    def with_current(self, model: InstalledModel, action: Action, *, forced: bool = False) -> StoreState:
        """Make a model the current one: on probation if there is one to return to.

        The model that it replaces is the previous one, unless that is on probation itself.
        """
        if self.current is not None and self.current.digest == model.digest:
            return self
        previous = self.previous if self.probation is not None else self.current
        if previous is not None and previous.digest == model.digest:
            previous = None
        candidate = self.candidate
        if candidate is not None and candidate.digest == model.digest:
            candidate = None
        probation = None if previous is None else ProbationState()
        changed = {"current": model, "previous": previous, "candidate": candidate, "probation": probation}
        return self.model_copy(update=changed)._noted(action, model, forced=forced)

    def with_candidate(self, model: InstalledModel) -> StoreState:
        """Make a model the candidate."""
        if self.current is None:
            raise DataError("there is no current model to compare it with; edgeloop install brings one")
        if self.current.digest == model.digest:
            raise DataError("it is the current model already")
        if self.candidate is not None and self.candidate.digest == model.digest:
            return self
        return self.model_copy(update={"candidate": model})._noted("shadowed", model)

    def rolled_back(self, reason: str = "") -> StoreState:
        """Make the previous model the current one again; the one that it replaces leaves the store."""
        if self.previous is None:
            raise DataError("there is no previous model to return to")
        changed = {"current": self.previous, "previous": None, "probation": None}
        return self.model_copy(update=changed)._noted("rolled back", self.previous, reason)

    def confirmed(self, reason: str) -> StoreState:
        """End the probation of the current model."""
        if self.current is None or self.probation is None:
            return self
        return self.model_copy(update={"probation": None})._noted("confirmed", self.current, reason)

    def _noted(
        self, action: Action, model: InstalledModel, reason: str = "", *, forced: bool = False
    ) -> StoreState:
        change = Change(
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            action=action,
            digest=model.digest,
            reason=reason[:_MAX_REASON],
            forced=forced,
        )
        return self.model_copy(update={"history": (*self.history, change)[-MAX_CHANGES:]})


def read_state(path: Path) -> StoreState:
    """Read the state of a store; an empty one if there is no such file.

    Raises:
        UnavailableError: The file cannot be read.
        DataError: It is no such state.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return StoreState()
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > _MAX_BYTES:
        raise DataError(f"{path}: expected at most {_MAX_BYTES} bytes")
    try:
        return StoreState.model_validate_json(content)
    except ValidationError as error:
        raise DataError(
            f"{describe_damage(path, error)}; no state of a store, delete it, and install the model again"
        ) from error
