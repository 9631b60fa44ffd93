"""Workers on a Ray cluster.

These are actors of Ray Core and not a job of Ray Data, which loses a whole block of frames on an error.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayError, RayTaskError

from edgeloop.labeling.workers.cluster.ray_actor import FrameActor, NodeFacts, Opened, node_facts
from edgeloop.labeling.workers.cluster.ray_connection import connected
from edgeloop.labeling.workers.cluster.sent_job import SentJob
from edgeloop.labeling.workers.dispatch import Died, Event, Finished, Ready
from edgeloop.labeling.workers.frame_job import FrameItem, FrameJob, Shard
from edgeloop.models.errors import UnavailableError

__all__ = ["RayPool"]

log = logging.getLogger(__name__)
_cluster: Any = ray  # for the functions of Ray that have no types

ItemT = TypeVar("ItemT", bound=FrameItem)
RowT = TypeVar("RowT")

_TICK_S = 1.0
_TELL_S = 15.0  # until the user reads that workers are missing
_NO_ROOM_S = 300.0  # until the job ends because there is room for none
_NODE_DIED = "its node has died"  # how Ray says it


@dataclass
class _Actor:
    """Actor that was started.

    Attributes:
        handle: Ray's handle.
        calls: References to the results that are awaited, the oldest first.
        node: Id of its node; "" until it runs.
        ready: True if its models are loaded.
    """

    handle: Any
    calls: deque[Any] = field(default_factory=deque)
    node: str = ""
    ready: bool = False


class RayPool(Generic[ItemT, RowT]):
    """See `WorkerPool`: each worker is an actor that has one core, or one GPU and one core.

    Attributes:
        shard_frames: See `WorkerPool.shard_frames`.
        shards_ahead: See `WorkerPool.shards_ahead`: one is on its way while one is in work.
        size: Number of workers to start.
    """

    shard_frames = 8
    shards_ahead = 2

    def __init__(
        self, job: FrameJob[ItemT, RowT], items: Sequence[ItemT], address: str, count: int | None
    ) -> None:
        """Connect to a cluster, and put the job and its files there.

        Args:
            job: What is done to each frame.
            items: The frames; some show whether a worker reads the store.
            address: As of `Workers.ray`.
            count: As of `Workers.count`.

        Raises:
            UnavailableError: There is no such cluster.
        """
        with ExitStack() as stack:
            stack.enter_context(connected(address))
            resource = "GPU" if job.gpus else "CPU"
            self._needs = f"1 {resource}"
            self.size = count or max(1, int(_cluster.cluster_resources().get(resource, 0)))
            self._class: Any = ray.remote(
                num_cpus=1,
                num_gpus=job.gpus,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )(FrameActor)
            self._sent = SentJob.put(job, items)
            self._exit = stack.pop_all()
        self._facts = node_facts()
        self._actors: dict[int, _Actor] = {}
        self._hosts: dict[str, str] = {}  # by id of the node, of all nodes that had workers
        self._gone: set[str] = set()
        self._told_of: set[str] = set()  # differences between nodes and this one
        self._started = 0
        self._stalled_since = time.monotonic()
        self._told = False

    @staticmethod
    def check(address: str) -> None:
        """Connect to a cluster for a moment.

        Raises:
            UnavailableError: There is no such cluster.
        """
        with connected(address):
            pass

    def start_worker(self) -> None:
        """See `WorkerPool.start_worker`: it waits until the cluster has room for it."""
        actor = _Actor(self._class.remote())
        actor.calls.append(actor.handle.facts.remote())
        self._actors[self._started] = actor
        self._started += 1

    def submit(self, worker: int, shard: Shard[ItemT]) -> None:
        """See `WorkerPool.submit`."""
        actor = self._actors[worker]
        actor.calls.append(actor.handle.handle.remote(shard))

    def wait(self) -> Sequence[Event[RowT]]:
        """See `WorkerPool.wait`.

        Raises:
            UnavailableError: The cluster has had no room for a single worker for five minutes.
        """
        while True:
            awaited = {actor.calls[0]: number for number, actor in self._actors.items() if actor.calls}
            done, _ = ray.wait(list(awaited), timeout=_TICK_S)
            if done:
                done, _ = ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
            events: list[Event[RowT]] = []
            failed: dict[int, RayError] = {}
            for call in done:
                try:
                    events += self._receive(awaited[call], ray.get(call))
                except RayError as error:
                    failed[awaited[call]] = error
            events += self._bury(failed)
            self._watch_starts()
            if events:
                return events

    def _receive(self, worker: int, answer: Any) -> list[Event[RowT]]:
        actor = self._actors[worker]
        actor.calls.popleft()
        if actor.ready:
            return [Finished(worker, answer)]
        if isinstance(answer, Opened):
            if answer.fault is not None:
                self._end(worker)
                return [Died(worker, answer.fault, error=answer.error)]
            actor.ready = True
            return [Ready(worker, answer.reads_store)]
        actor.node, facts = answer
        self._stalled_since = time.monotonic()
        if (reason := self._meet(actor.node, facts)) is not None:
            self._end(worker)
            return [Died(worker, reason)]
        sent = self._sent
        actor.calls.append(actor.handle.open.remote(sent.pickled, sent.files, sent.probes))
        return []

    def _meet(self, node: str, facts: NodeFacts) -> str | None:
        """Reason to refuse a node; what differs otherwise is told once."""
        if node not in self._hosts:
            self._hosts[node] = next(
                (n["NodeManagerHostname"] for n in _cluster.nodes() if n["NodeID"] == node), node
            )
        host = self._hosts[node]
        if wrong := _differences(self._facts["required"], facts["required"]):
            return f"node {host}: {wrong}; install the same there"
        unlike = _differences(self._facts["wanted"], facts["wanted"])
        if unlike and unlike not in self._told_of:
            self._told_of.add(unlike)
            log.warning("node %s: %s; the last bits of float results can differ there", host, unlike)
        return None

    def _bury(self, failed: dict[int, RayError]) -> list[Event[RowT]]:
        alive = _alive() if failed else set()
        events: list[Event[RowT]] = []
        for worker, error in failed.items():
            node = self._actors[worker].node
            with_machine = isinstance(error, ActorUnavailableError) or _NODE_DIED in str(error)
            if node and (with_machine or node not in alive):
                with_machine = True
                self._tell_gone(node)
            self._end(worker)
            by_memory = isinstance(error, OutOfMemoryError)
            events.append(Died(worker, _reason(error), with_machine, by_memory=by_memory))
        return events

    def _tell_gone(self, node: str) -> None:
        if node not in self._gone:
            self._gone.add(node)
            log.warning("node %s is gone or out of reach; others go on with its frames", self._hosts[node])

    def _watch_starts(self) -> None:
        """Tell of workers that wait for room, and give up if there is room for none."""
        waiting = sum(not actor.node for actor in self._actors.values())
        if not waiting:
            return
        seconds = time.monotonic() - self._stalled_since
        there = len(self._actors) - waiting
        if not there and seconds > _NO_ROOM_S:
            raise UnavailableError(
                f"no worker can be started: the cluster had no room for one (each needs {self._needs}) "
                f"for {seconds:.0f} s"
            )
        if not self._told and seconds > _TELL_S:
            self._told = True
            log.warning(
                "%d of %d workers are there; others start or wait for room on the cluster (each needs %s)",
                there, len(self._actors), self._needs,
            )  # fmt: skip

    def _end(self, worker: int) -> None:
        self._stalled_since = time.monotonic()
        with suppress(RayError):
            ray.kill(self._actors.pop(worker).handle)

    def close(self) -> None:
        """See `WorkerPool.close`; the copies of the job's files are removed from the nodes."""
        with self._exit:
            for worker in list(self._actors):
                self._end(worker)
            self._sent.remove_copies(_alive() & self._hosts.keys())


def _alive() -> set[str]:
    """Ids of the nodes that are there."""
    return {node["NodeID"] for node in _cluster.nodes() if node["Alive"]}


def _differences(here: dict[str, str], there: dict[str, str]) -> str:
    """Describe what differs, such as "Python 3.11.2 there, 3.11.7 here"."""
    return ", ".join(
        f"{name} {there.get(name, 'missing')} there, {here.get(name, 'missing')} here"
        for name in here | there
        if there.get(name) != here.get(name)
    )


def _reason(error: RayError) -> str:
    """Put the death of an actor into one line."""
    if isinstance(error, OutOfMemoryError):
        return "it was killed because the memory of its node is full"
    cause = error.cause if isinstance(error, RayTaskError) else error
    text = str(error)
    if missing := re.search(r"ModuleNotFoundError: (No module named \S+)", text):
        return f"its node has no such edgeloop ({missing[1]}); install there what is installed here"
    if isinstance(error, ActorUnavailableError) or _NODE_DIED in text:
        return "its node died or is out of reach"
    if "connection error code 2" in text:
        return "its process crashed or was killed"
    if detail := re.search(r"Worker exit detail: (.+?)\.(?:\s|$)", text):
        return f"its process ended ({detail[1]})"
    return f"{type(cause).__name__}: {cause}".splitlines()[0]
