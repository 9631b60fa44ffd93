"""Job on its way to the nodes of a cluster: put into the object store once, and fetched once by each node."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from edgeloop.labeling.frames.frame_store import image_digest
from edgeloop.labeling.workers.cluster.node_files import files_key, remove_files
from edgeloop.labeling.workers.cluster.ray_actor import SentFile
from edgeloop.labeling.workers.frame_job import FrameItem, FrameJob

__all__ = ["SentJob"]

ItemT = TypeVar("ItemT", bound=FrameItem)
RowT = TypeVar("RowT")

_PROBED = 100  # frames of which one that can be read is searched
_REMOVE_S = 10.0


@dataclass(frozen=True, slots=True)
class SentJob:
    """Arguments of `FrameActor.open`.

    Attributes:
        pickled: Reference to the pickled job.
        files: Its files, by relative path.
        probes: sha256 of a frame, as the head reads it, by name in its store; empty if none can be read.
    """

    pickled: Any
    files: Mapping[str, SentFile]
    probes: Mapping[str, str]

    @classmethod
    def put(cls, job: FrameJob[ItemT, RowT], items: Sequence[ItemT]) -> Self:
        """Put a job and its files into the object store."""
        files = {name: _send(path) for name, path in job.files.items()}
        return cls(ray.put(pickle.dumps(job)), files, _probe(job, items))

    def remove_copies(self, nodes: Iterable[str]) -> None:
        """Remove the files from nodes whose workers have just been ended.

        Args:
            nodes: Ids of nodes.
        """
        if not self.files:
            return
        key = files_key({name: file.digest for name, file in self.files.items()})
        remove: Any = ray.remote(num_cpus=0, max_retries=0)(remove_files)
        calls = [
            remove.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
                key, wait_s=_REMOVE_S / 2
            )
            for node in nodes
        ]
        if calls:
            ray.wait(calls, num_returns=len(calls), timeout=_REMOVE_S)


def _send(path: Path) -> SentFile:
    content = np.fromfile(path, np.uint8)
    return SentFile(hashlib.sha256(content.data).hexdigest(), ray.put(content))


def _probe(job: FrameJob[ItemT, RowT], items: Sequence[ItemT]) -> dict[str, str]:
    for item in items[:_PROBED]:
        with suppress(OSError):
            return {item.file: image_digest(job.store, item.file)}
    return {}
