"""Workers of a job, as they are asked for."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from edgeloop.edge.host.hardware import usable_cores
from edgeloop.labeling.workers.dispatch import map_frames
from edgeloop.labeling.workers.frame_job import FrameItem, FrameJob
from edgeloop.labeling.workers.inline_pool import InlinePool
from edgeloop.labeling.workers.process_pool import ProcessPool
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.errors import UnavailableError

if TYPE_CHECKING:
    from edgeloop.labeling.workers.cluster.ray_pool import RayPool

__all__ = ["check_workers", "run_job"]

log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT", bound=FrameItem)
RowT = TypeVar("RowT")


def check_workers(workers: Workers) -> None:
    """Connect to the cluster for a moment, if there is to be one, before anything is done in vain.

    Raises:
        UnavailableError: There is no such cluster, or the package ray is missing.
    """
    if workers.ray is not None:
        _ray_pool(workers.ray).check(workers.ray)


def run_job(
    job: FrameJob[ItemT, RowT], items: Sequence[ItemT], workers: Workers
) -> Generator[tuple[int, RowT], None, None]:
    """Handle frames as `map_frames` does, by the workers that are asked for.

    Raises:
        UnavailableError: There is no such cluster, the package ray is missing, or no worker can be started.
    """
    if workers.ray is not None:
        pool = _ray_pool(workers.ray)(job, items, workers.ray, workers.count)
        return map_frames(job, items, pool, pool.size)
    if workers.count is None or workers.count == 1:
        return map_frames(job, items, InlinePool(job), 1)
    if workers.count > (cores := usable_cores()):
        log.warning("%d workers share %d cores: no faster, and each needs memory", workers.count, cores)
    return map_frames(job, items, ProcessPool(job, workers.count), workers.count)


def _ray_pool(address: str) -> type[RayPool[Any, Any]]:
    if find_spec("ray") is None:
        raise UnavailableError(f"--ray {address}: the package ray is missing; pip install 'edgeloop[ray]'")
    from edgeloop.labeling.workers.cluster.ray_pool import RayPool  # an extra, which takes seconds to load

    return RayPool
