"""Workers of a job, as they are asked for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

from edgeloop.labeling.workers.dispatch import map_frames
from edgeloop.labeling.workers.frame_job import FrameItem, FrameJob
from edgeloop.labeling.workers.inline_pool import InlinePool
from edgeloop.labeling.workers.process_pool import ProcessPool
from edgeloop.labeling.workers.workers import Workers

__all__ = ["run_job"]

ItemT = TypeVar("ItemT", bound=FrameItem)
RowT = TypeVar("RowT")


def run_job(
    job: FrameJob[ItemT, RowT], items: Sequence[ItemT], workers: Workers
) -> Generator[tuple[int, RowT], None, None]:
    """Handle frames as `map_frames` does, by the workers that are asked for.

    Raises:
        UnavailableError: There is no such cluster, the package ray is missing, or no worker can be started.
    """
    if workers.count is None or workers.count == 1:
        return map_frames(job, items, InlinePool(job), 1)
    return map_frames(job, items, ProcessPool(job, workers.count), workers.count)
