"""Part of the service that saves pictures and clips of events.

Events wait in a short queue for one thread that does all the writing, so that neither a slow disk nor a full
one is ever felt by the loop.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from edgeloop.edge.host.disk_space import BudgetedFolder, free_mb
from edgeloop.edge.host.durable_file import make_folder, replace_file
from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.edge.result import Sink
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.clips.event_clip import EventClip
from edgeloop.edge.service.clips.event_files import OWN_NAME, event_name
from edgeloop.edge.service.clips.frame_ring import FrameEncoder, FrameRing
from edgeloop.edge.service.clips.leftovers import clear_leftovers
from edgeloop.edge.service.event_picture import event_jpeg
from edgeloop.edge.service.service_config import ClipsConfig, ServiceConfig
from edgeloop.edge.service.service_part import EventListener, ServiceEvent, ServicePart
from edgeloop.edge.sources.packets.packet_ring import PacketRing
from edgeloop.models.errors import EdgeloopError

__all__ = ["ClipsPart", "packet_seconds"]

log = logging.getLogger(__name__)

_LOST = {"event": "clips-lost", "part": "clips"}
_BACK = {"event": "clips-back", "part": "clips"}

QUEUE = 16
"""Maximum number of events that wait; each holds a frame."""

MARGIN_S = 15.0
"""Seconds of packets beyond those before an event: it is found late, and the disk may be slow."""

WAKE_S = 0.2
"""Seconds between two looks at the packets that have arrived."""


def packet_seconds(config: ServiceConfig, camera: str) -> float:
    """Time in seconds for which the packets of a camera are kept; 0 if it has no clips."""
    has_clips = config.clips is not None and config.cameras[camera].clips
    return config.clips.before_s + MARGIN_S if config.clips is not None and has_clips else 0.0


class ClipsPart(ServicePart):
    """Part of the service that saves each event: a JPEG, a JSON, and a clip that close events share."""

    def __init__(self, config: ServiceConfig, board: Board) -> None:
        """Prepare; nothing is written yet."""
        self._config, self._board = config.clips or ClipsConfig(), board
        self._folder = config.clips_folder
        self._keep_free_mb = config.health.free_mb
        self._seconds = {name: packet_seconds(config, name) for name in config.cameras}
        self._packets: dict[str, PacketRing | None] = {}
        self._frames: dict[str, FrameRing] = {}
        self._encoder = FrameEncoder()
        self._queue: queue.Queue[ServiceEvent] = queue.Queue(QUEUE)
        self._refused_lock, self._refused = threading.Lock(), 0
        self._written = self._dropped = 0
        self._open: list[EventClip] = []
        self._budget: BudgetedFolder | None = None
        self._held = ExitStack()
        self._trouble = ""
        self._figures_at = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clips", daemon=True)

    def sinks(self, camera: CameraState) -> Sequence[Sink]:
        """Make the sink of the frames of a camera that gives no packets."""
        seconds = self._seconds[camera.name]
        if not seconds:
            return ()
        packets = getattr(camera.stream.source, "packets", None)
        frames = FrameRing(self._encoder.bell, seconds, packets)
        self._packets[camera.name], self._frames[camera.name] = packets, frames
        self._encoder.rings.append(frames)
        return (frames,)

    def listener(self) -> EventListener:
        """Return the consumer of the events."""
        return self._take

    def start(self) -> None:
        """Start the threads."""
        self._encoder.start()
        self._thread.start()

    def close(self) -> None:
        """Save the events that wait, and end the clips with what has arrived."""
        self._stopping.set()
        self._encoder.close()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _take(self, event: ServiceEvent) -> None:
        if event.kind not in self._config.events or event.camera not in self._frames:
            return
        try:
            self._queue.put_nowait(event)
        except queue.Full:  # the thread hangs in a disk that does not answer
            with self._refused_lock:
                self._refused += 1
            self._board.set_figures("clips", dropped=self._dropped + self._refused)
            if not self._trouble:
                self._trouble = "the disk does not keep up"
                log.warning("clips: not written: %s", self._trouble, extra=_LOST)

    def _run(self) -> None:
        while not (self._stopping.is_set() and self._queue.empty()):
            try:
                self._open_folder()
                with suppress(queue.Empty):
                    self._save(self._queue.get(timeout=0.0 if self._stopping.is_set() else WAKE_S))
                for clip in [each for each in self._open if each.write(time.monotonic())]:
                    self._end(clip)
            except Exception as error:  # whatever it is, later events may be saved
                self._say(error)
                self._dropped += sum(len(clip.events) for clip in self._open)
                self._open.clear()
                self._budget = None  # what these clips had claimed and left is found when it is opened again
            self._show()
        for clip in [*self._open]:
            clip.write(time.monotonic())
            self._end(clip)
        self._show(at_once=True)
        self._held.close()

    def _open_folder(self) -> None:
        """Open the folder if it is not open: its disk may come later, or may have gone."""
        if self._budget is not None or self._open:
            return
        self._held.close()
        try:
            make_folder(self._folder)
            refusal = f"clips {self._folder}: another service writes to it"
            self._held.enter_context(locked_folder(self._folder, refusal))
            if completed := clear_leftovers(self._folder):
                log.info("clips: completed %d that an end of the process cut off", completed)
            budget = int(self._config.budget_mb * 1e6)
            self._budget = BudgetedFolder(
                self._folder, OWN_NAME, budget=budget, keep_free_mb=self._keep_free_mb
            )
        except (OSError, EdgeloopError) as error:
            self._say(error)

    def _save(self, event: ServiceEvent) -> None:
        """Save the picture and the JSON of an event, and let a clip go on to after it, or begin one."""
        budget = self._budget
        if budget is None:
            self._dropped += 1
            return
        file = self._folder / f"{event_name(event)}.json"
        try:
            picture = file.with_suffix(".jpg")
            _write(budget, picture, event_jpeg(event))
            clip = next((each for each in self._open if each.takes(event)), None)
            if clip is None:
                clip = EventClip(
                    event, self._ring(event.camera), budget, self._config.before_s, self._config.after_s
                )
                self._open.append(clip)
                clip.write(time.monotonic())
            values = {**event.as_dict(), "picture": picture.name}
            _write(budget, file, _as_json({**values, **clip.values()}))
            clip.events[file] = values
        except Exception as error:  # whatever it is, this event is counted
            self._dropped += 1
            self._say(error)

    def _ring(self, camera: str) -> PacketRing:
        packets = self._packets[camera]
        return packets if packets is not None and packets.size else self._frames[camera].ring

    def _end(self, clip: EventClip) -> None:
        """Finish a clip, and write into the JSON of its events from when to when it goes."""
        self._open.remove(clip)
        clip.finish()
        try:
            for file, values in clip.events.items():
                if file.exists():
                    replace_file(file, _as_json({**values, **clip.values()}))
        except (OSError, EdgeloopError) as error:
            clip.error = clip.error or error
        if clip.error is None and clip.path is not None:
            self._written += len(clip.events)
            if self._trouble:
                log.warning("clips: written again", extra=_BACK)
                self._trouble = ""
        else:
            self._dropped += len(clip.events)
            if clip.error is not None and clip.events:
                self._say(clip.error)

    def _say(self, error: Exception) -> None:
        """Say a failure once until a clip is whole again."""
        reason = str(error)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            reason = (
                f"no room in {self._folder} (at most {self._config.budget_mb:g} MB, "
                f"and {self._keep_free_mb:g} MB of the disk stay free)"
            )
        if not self._trouble:
            log.warning("clips: not written: %s", reason, extra=_LOST)
        self._trouble = reason
        try:
            is_there = self._folder.is_dir()
        except OSError:  # such as of a disk that fails
            is_there = False
        if not is_there:
            self._budget = None

    def _show(self, *, at_once: bool = False) -> None:
        """Put the figures on the board, a few times a second at most."""
        now = time.monotonic()
        if now < self._figures_at and not at_once:
            return
        self._figures_at = now + WAKE_S
        budget = self._budget
        waiting = self._queue.qsize() + sum(len(clip.events) for clip in self._open)
        figures: dict[str, float] = {
            "written": self._written,
            "dropped": self._dropped + self._refused,
            "queue": waiting,
            "budget_bytes": self._config.budget_mb * 1e6,
        }
        if budget is not None:
            figures |= {"deleted": budget.deleted, "bytes": budget.used}
        with suppress(OSError):
            figures["free_bytes"] = free_mb(self._folder) * 1e6
        self._board.set_figures("clips", **figures)


def _write(budget: BudgetedFolder, file: Path, content: bytes) -> None:
    if not budget.claim(len(content)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        replace_file(file, content)
    finally:
        budget.release(len(content))
    budget.add(file)


def _as_json(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode()
