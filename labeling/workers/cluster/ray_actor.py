"""Worker of a Ray cluster: what runs on its nodes."""

from __future__ import annotations

import pickle
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

import ray

from edgeloop.edge.cli.environment import prepare_environment
from edgeloop.labeling.frames.frame_store import FrameStore, image_digest
from edgeloop.labeling.workers.cluster.node_files import KeptFiles
from edgeloop.labeling.workers.frame_job import FrameHandler, FrameJob, Outcome, Shard, handle_shard
from edgeloop.labeling.workers.worker_cores import share_cores
from edgeloop.models.errors import EdgeloopError, UnavailableError

__all__ = ["FrameActor", "NodeFacts", "Opened", "SentFile", "node_facts"]

_PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "opencv-python", "opencv-python-headless", "torch")
_CPU_FLAGS = re.compile(r"\b(?:avx2|fma|avx512f|avx512_vnni|avx_vnni|amx_int8|asimd|asimddp|i8mm|sve)\b")


class NodeFacts(TypedDict):
    """Facts of a node that its rows may depend on; plain values, which any version of edgeloop can read.

    Attributes:
        required: Versions that must be those of the head, by name.
        wanted: Others, such as instruction sets, on which the last bits of float results depend.
    """

    required: dict[str, str]
    wanted: dict[str, str]


@dataclass(frozen=True, slots=True)
class SentFile:
    """File that a job needs.

    Attributes:
        digest: sha256 of its content.
        content: Array in the object store, (bytes,) uint8.
    """

    digest: str
    content: Any


@dataclass(frozen=True, slots=True)
class Opened:
    """Answer of a worker that has loaded its models, or not.

    Attributes:
        reads_store: True if it can read the frames itself.
        fault: Reason why the models cannot be loaded, one line; None if they are.
        error: What they were refused for; None for any other reason.
    """

    reads_store: bool = False
    fault: str | None = None
    error: EdgeloopError | None = None


def node_facts() -> NodeFacts:
    """Describe the node that this process runs on."""
    found = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    info = Path("/proc/cpuinfo")
    flags = sorted(set(_CPU_FLAGS.findall(info.read_text()))) if info.exists() else []
    return {
        "required": {"edgeloop": version("edgeloop"), "Python": platform.python_version()},
        "wanted": {**found, "CPU": " ".join([platform.machine(), *flags])},
    }


class FrameActor:
    """Worker on one core of a node; nothing can fail before `open`."""

    def facts(self) -> tuple[str, NodeFacts]:
        """Id of the node in Ray, and what it is."""
        return ray.get_runtime_context().get_node_id(), node_facts()

    def open(self, pickled: bytes, files: Mapping[str, SentFile], probes: Mapping[str, str]) -> Opened:
        """Load the models.

        Args:
            pickled: The job.
            files: Its files, by relative path.
            probes: sha256 of some frames, as the head reads them, by name in the job's store.
        """
        prepare_environment()
        share_cores(1)  # before the job loads torch
        try:
            self._job: FrameJob[Any, Any] = pickle.loads(pickled)
            self._kept = KeptFiles(
                {name: file.digest for name, file in files.items()},
                lambda name: ray.get(files[name].content).data,
            )
            self._handler: FrameHandler[Any, Any] = self._job.open(self._kept.paths)
        except Exception as error:
            fault = f"{type(error).__name__}: {error}".splitlines()[0]
            return Opened(fault=fault, error=error if isinstance(error, EdgeloopError) else None)
        return Opened(bool(probes) and all(_reads(self._job.store, *probe) for probe in probes.items()))

    def handle(self, shard: Shard[Any]) -> list[Outcome[Any]]:
        """Handle the frames of a shard."""
        return handle_shard(self._handler, self._job, shard)


def _reads(store: FrameStore, file: str, digest: str) -> bool:
    try:
        return image_digest(store, file) == digest
    except (OSError, UnavailableError):  # no such folder here, or an object storage out of reach
        return False
