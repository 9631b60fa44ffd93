"""Jobs on frames, and the shards and outcomes that go to and from workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from edgeloop.labeling.frames.frame_store import FrameStore
from edgeloop.models.errors import EdgeloopError, UnavailableError

__all__ = ["FrameFile", "FrameHandler", "FrameItem", "FrameJob", "Outcome", "Shard", "handle_shard"]

RowT = TypeVar("RowT")
RowT_co = TypeVar("RowT_co", covariant=True)


class FrameItem(Protocol):
    """One frame to handle; pickles."""

    @property
    def file(self) -> str:
        """Name of its image in the job's store."""
        ...


@dataclass(frozen=True, slots=True)
class FrameFile:
    """See `FrameItem`: nothing but the name of an image."""

    file: str


ItemT = TypeVar("ItemT", bound=FrameItem)
ItemT_contra = TypeVar("ItemT_contra", bound=FrameItem, contravariant=True)


class FrameHandler(Protocol[ItemT_contra, RowT_co]):
    """Opened job: models are loaded."""

    def __call__(self, frames: Sequence[tuple[ItemT_contra, bytes]], /) -> Sequence[RowT_co]:
        """Handle a batch of frames, at most `FrameJob.batch`, each given with its encoded image.

        A row depends on its frame alone. If a batch fails, its frames are handled one by one, and whatever is
        raised then is the reason of that frame.
        """
        ...


class FrameJob(Protocol[ItemT_contra, RowT_co]):
    """Work on each frame; pickles, and is sent to every worker once."""

    @property
    def store(self) -> FrameStore:
        """Place of the frames."""
        ...

    @property
    def files(self) -> Mapping[str, Path]:
        """Files that `open` needs, by a relative path; machines without them get copies, once each."""
        ...

    @property
    def batch(self) -> int:
        """Number of frames that are handled together."""
        ...

    @property
    def gpus(self) -> int:
        """Number of GPUs that a worker needs for itself: 0 or 1."""
        ...

    @property
    def threads(self) -> bool:
        """True if threads may share its handler, one to a core, and a frame in work takes little memory."""
        ...

    def open(self, files: Mapping[str, Path]) -> FrameHandler[ItemT_contra, RowT_co]:
        """Load models in a worker.

        Args:
            files: Where this machine has each of `self.files`.
        """
        ...

    def failed(self, item: ItemT_contra, reason: str) -> RowT_co:
        """Make the row of a frame that could not be handled."""
        ...


@dataclass(frozen=True, slots=True)
class Shard(Generic[ItemT]):
    """Contiguous frames that one worker handles.

    Attributes:
        places: Position of each frame in the job.
        items: The frames.
        data: Encoded image of each, or the error with which it cannot be read, if the worker cannot read the
            store; None if it can.
    """

    places: Sequence[int]
    items: Sequence[ItemT]
    data: Sequence[bytes | OSError] | None = None


class Outcome(NamedTuple, Generic[RowT]):
    """Row of a frame, or the reason why there is none.

    Attributes:
        row: What the handler returned; None if it failed.
        fault: One line; None if it did not fail.
        error: What ends the job, as it is no fault of the frame; None for any other fault.
        is_unread: True if its image could not be read.
    """

    row: RowT | None
    fault: str | None
    error: UnavailableError | None = None
    is_unread: bool = False


def handle_shard(
    handler: FrameHandler[ItemT, RowT], job: FrameJob[ItemT, RowT], shard: Shard[ItemT]
) -> list[Outcome[RowT]]:
    """Handle the frames of a shard: one outcome for each, whatever fails."""
    outcomes: list[Outcome[RowT]] = []
    for start in range(0, len(shard.items), job.batch):
        outcomes += _handle(handler, job, shard, range(len(shard.items))[start : start + job.batch])
    return outcomes


def _handle(
    handler: FrameHandler[ItemT, RowT], job: FrameJob[ItemT, RowT], shard: Shard[ItemT], part: Sequence[int]
) -> list[Outcome[RowT]]:
    try:
        rows = handler([(shard.items[number], _data(job, shard, number)) for number in part])
        return [Outcome(row, None) for row in rows]
    except UnavailableError as error:
        return [Outcome(None, str(error), error) for _ in part]
    except Exception as error:
        if len(part) == 1:
            return [Outcome(None, _reason(error), is_unread=isinstance(error, OSError))]
    return [outcome for number in part for outcome in _handle(handler, job, shard, [number])]


def _data(job: FrameJob[ItemT, RowT], shard: Shard[ItemT], number: int) -> bytes:
    data = job.store.read(shard.items[number].file) if shard.data is None else shard.data[number]
    if isinstance(data, OSError):
        raise data
    return data


def _reason(error: Exception) -> str:
    told = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or told})"
    return told if isinstance(error, EdgeloopError) else f"{type(error).__name__}: {told}".rstrip(": ")
