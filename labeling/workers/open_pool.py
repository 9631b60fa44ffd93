"""Workers of a job, as they are asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from edgeloop.edge.host.hardware import physical_cores, usable_cores
from edgeloop.edge.host.memory import available_memory
from edgeloop.labeling.workers.dispatch import map_frames
from edgeloop.labeling.workers.frame_job import FrameItem, FrameJob
from edgeloop.labeling.workers.inline_pool import InlinePool
from edgeloop.labeling.workers.process_pool import ProcessPool
from edgeloop.labeling.workers.thread_pool import ThreadPool
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.errors import UnavailableError

if TYPE_CHECKING:
    from edgeloop.labeling.workers.cluster.ray_pool import RayPool

__all__ = ["check_workers", "run_job"]

log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT", bound=FrameItem)
RowT = TypeVar("RowT")

_MOST_THREADS = 16  # they share Python's lock, which a frame holds for up to a tenth of its time
_THREAD_BYTES = 256 << 20  # a frame of 11 megapixels in work takes 140 MB, one of 640 x 480 px 30 MB


def check_workers(workers: Workers) -> None:
    """Connect to the cluster for a moment, if there is to be one, before anything is done in vain.

    Raises:
        UnavailableError: There is no such cluster, or the package ray is missing.
    """
    if workers.ray is not None:
        _ray_pool(workers.ray).check(workers.ray)


def run_job(
    job: FrameJob[ItemT, RowT],
    items: Sequence[ItemT],
    workers: Workers,
    tell: Callable[[str], None] = lambda _: None,
) -> Generator[tuple[int, RowT], None, None]:
    """Handle frames as `map_frames` does, by the workers that are asked for.

    Args:
        job: What is done to each frame.
        items: The frames.
        workers: Who does the work.
        tell: Called once with a line that says how many workers there are.

    Raises:
        UnavailableError: There is no such cluster, the package ray is missing, or no worker can be started.
    """
    if workers.ray is not None:
        pool = _ray_pool(workers.ray)(job, items, workers.ray, workers.count)
        tell(f"{pool.size} workers label: actors of the Ray cluster")
        return map_frames(job, items, pool, pool.size)
    count = _threads(job, len(items)) if workers.count is None else workers.count
    if count == 1:
        tell("1 worker labels: this process")
        return map_frames(job, items, InlinePool(job), 1)
    if workers.count is None:
        tell(f"{count} workers label: threads of this process")
        return map_frames(job, items, ThreadPool(job), count)
    if count > (cores := usable_cores()):
        log.warning("%d workers share %d cores: no faster, and each needs memory", count, cores)
    tell(f"{count} workers label: processes")
    return map_frames(job, items, ProcessPool(job, count), count)


def _threads(job: FrameJob[ItemT, RowT], frames: int) -> int:
    """Number of threads that this machine has cores and memory for; 1 if the job is for none."""
    fitting = min(physical_cores(), _MOST_THREADS, frames, available_memory() // _THREAD_BYTES)
    return max(1, fitting) if job.threads else 1


def _ray_pool(address: str) -> type[RayPool[Any, Any]]:
    if find_spec("ray") is None:
        raise UnavailableError(f"--ray {address}: the package ray is missing; pip install 'edgeloop[ray]'")
    from edgeloop.labeling.workers.cluster.ray_pool import RayPool  # an extra, which takes seconds to load

    return RayPool
