"""Background process that finds proposals: started, told of changes, followed, ended with the server."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from edgeloop.edge.host.file_version import file_version
from edgeloop.labeling.engine.promise import Promise
from edgeloop.labeling.studio.exemplar_file import DrawnFrame
from edgeloop.labeling.studio.project import Project
from edgeloop.labeling.studio.proposals.messages import (
    MESSAGES,
    Found,
    Learned,
    Next,
    Progressed,
    ProposedBox,
)
from edgeloop.labeling.studio.proposals.ranking import FrameRow, choose_next, left_over, row_of, to_look_at
from edgeloop.labeling.studio.proposals.rejections import RejectedBox, Rejections

__all__ = ["Proposer", "State"]

State = Literal["off", "waiting", "learning", "searching", "ready", "paused", "failed"]

_WATCH_S = 0.5  # between looks at the boxes, and between events
_NEXT, _LOOKS = 8, 4  # frames, and proposals of each kind
_BOXES = TypeAdapter(tuple[ProposedBox, ...])
_MODULE = "edgeloop.labeling.studio.proposals.propose"


class Proposer:
    """Proposals of one project; nothing happens before `start`."""

    def __init__(self, project: Project) -> None:
        """Prepare the proposals of a project."""
        self._project, self._entries, self._drawn = project, project.entries, project.drawn
        self._numbers = {entry.name: number for number, entry in enumerate(project.entries)}
        self._rejections = Rejections(project.work / "rejected.jsonl")
        self._lock = threading.RLock()
        self._found: dict[int, bytes] = {}  # boxes as JSON, which takes a tenth of the memory
        self._cached: dict[int, FrameRow] = {}  # of searched frames that are not complete
        self._seen: Mapping[str, DrawnFrame] = {}  # what is drawn, as of the cache
        self._round_of: dict[int, int] = {}
        self._renamed: dict[str, str] = {}
        self._state: State = "off"
        self._detail, self._progress = "", 0.0
        self._learned = Learned(round=0, learned_from=0, estimate=None)
        self._learning_from = 0
        self._first: tuple[int, ...] = ()  # frames to draw first
        self._stale: set[int] = set()  # frames whose rows changed
        self._touched: set[int] = set()  # those that pages were not told of
        self._dirty = False
        self._pauses = 0
        self._process: subprocess.Popen[str] | None = None
        self._follower: threading.Thread | None = None
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Learn and search in the background from now on."""
        if self._thread is None:
            self._state = "waiting"
            self._thread = threading.Thread(target=self._watch, name="edgeloop-proposals", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the process."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            process, follower = self._process, self._follower
        if process is not None:
            process.kill()
        if follower is not None:
            follower.join()

    def pause(self) -> None:
        """Leave the processor to another job, until as many `resume`."""
        with self._lock:
            self._pauses += 1
            self._tell("pause")
            self._dirty = True

    def resume(self) -> None:
        """Go on after `pause`."""
        with self._lock:
            self._pauses = max(0, self._pauses - 1)
            if not self._pauses:
                self._tell("resume")
            self._dirty = True

    def summary(self, *, changes: bool = False) -> dict[str, Any]:
        """State, estimate and rows of frames, as of `GET proposals`.

        Args:
            changes: Only give rows that changed since the last call with it.
        """
        with self._lock:
            rows = self._rows()
            wanted: Collection[int] = rows
            if changes:
                wanted, self._touched = self._touched, set()
            complete = [
                self._numbers[name]
                for name, frame in self._drawn.drawn().items()
                if frame.complete and name in self._numbers
            ]
            chosen = choose_next(rows, complete, len(self._entries), _NEXT) if rows else []
            return {
                "state": "paused" if self._pauses and self._state not in {"off", "failed"} else self._state,
                "detail": self._detail,
                "learned_from": self._learned.learned_from,
                "learning_from": self._learning_from,
                "round": self._learned.round,
                "progress": self._progress,
                "estimate": _plain(self._learned.estimate),
                "searched": len(self._found),
                "frames": [rows.get(number, FrameRow(number, 0, 0.0, 0.0)) for number in sorted(wanted)],
                **{
                    kind: [{"frame": frame, **box.model_dump()} for frame, box in looks]
                    for kind, looks in (
                        ("surest", to_look_at(rows, self._open, _LOOKS, doubtful=False)),
                        ("doubtful", to_look_at(rows, self._open, _LOOKS, doubtful=True)),
                    )
                },
                "next": chosen or [number for number in self._first if number not in complete],
            }

    def of(self, number: int) -> list[ProposedBox]:
        """Proposals of a frame, the surest first."""
        with self._lock:
            if self._round_of.get(number, -1) < self._learned.round and self._learned.round:
                self._tell(f"look {number}")
            return self._open(number)

    def reject(self, number: int, boxes: tuple[RejectedBox, ...], *, restore: bool = False) -> None:
        """Reject proposals of a frame for good, or take that back."""
        name = self._entries[number].name
        (self._rejections.restore if restore else self._rejections.reject)(name, boxes)
        with self._lock:
            self._stale.add(number)
            self._dirty = True

    def rename(self, name: str, to: str) -> None:
        """Follow a class that got another name."""
        with self._lock:
            self._rejections.rename(name, to)
            self._renamed[name] = to
            for number, boxes in self._found.items():
                renamed = [
                    box.model_copy(update={"name": to}) if box.name == name else box
                    for box in _BOXES.validate_json(boxes)
                ]
                self._found[number] = _BOXES.dump_json(tuple(renamed))
            self._stale |= self._found.keys()
            self._dirty = True

    def take(self, message: Progressed | Learned | Found | Next) -> None:
        """Take a message of the process."""
        with self._lock:
            self._dirty = True
            if isinstance(message, Found):
                if message.frame < len(self._entries):
                    boxes = tuple(
                        box.model_copy(update={"name": self._now(box.name)}) for box in message.boxes
                    )
                    self._found[message.frame] = _BOXES.dump_json(boxes)
                    self._round_of[message.frame] = message.round
                    self._stale.add(message.frame)
            elif isinstance(message, Learned):
                self._learned = message
            elif isinstance(message, Next):
                self._first = message.frames
            else:
                self._state, self._detail, self._progress = message.state, message.detail, message.progress
                self._learning_from = message.learned_from
                if message.state == "waiting":  # nothing is drawn anymore
                    self._touched |= self._found.keys()
                    for kept in (self._found, self._round_of, self._cached):
                        kept.clear()
                    self._learned = Learned(round=0, learned_from=0, estimate=None)

    def _now(self, name: str) -> str:
        """Name of a class of the process, which may not know yet that it has another."""
        for _ in self._renamed:
            if name in self._drawn.names or name not in self._renamed:
                break
            name = self._renamed[name]
        return name

    def _open(self, number: int) -> list[ProposedBox]:
        """Proposals of a frame that nobody drew or rejected."""
        name = self._entries[number].name
        found = _BOXES.validate_json(self._found.get(number, b"[]"))
        return left_over(found, self._drawn.frame(name), self._rejections.of(name))

    def _rows(self) -> dict[int, FrameRow]:
        """Rows of the frames that were searched and are not complete."""
        drawn = self._drawn.drawn()
        changed = {
            name for name in drawn.keys() | self._seen.keys() if drawn.get(name) is not self._seen.get(name)
        }
        self._seen = drawn
        self._stale |= {self._numbers[name] for name in changed if name in self._numbers}
        for number in self._stale:
            self._cached.pop(number, None)
            if number in self._found and not self._drawn.frame(self._entries[number].name).complete:
                self._cached[number] = row_of(number, self._open(number))
        self._touched |= self._stale
        self._stale = set()
        return self._cached

    def _watch(self) -> None:
        """Start the process, tell it of changes and the pages of its results, until closed."""
        seen: object = None
        while not self._closed.wait(_WATCH_S):
            version = file_version(self._drawn.path)
            with self._lock:
                if version != seen or (self._process is None and self._state != "failed"):
                    if self._process is None and not self._pauses:
                        self._launch()
                        seen = version
                    elif self._process is not None:
                        self._tell("changed")
                        seen = version
                    self._dirty = True
                if self._dirty:
                    self._dirty = False
                    self._project.events.send("proposals", self.summary(changes=True))

    def _launch(self) -> None:
        self._state, self._detail = "waiting", ""
        project = self._project
        folders = map(str, (project.frames, project.exemplars, project.work / "proposals"))
        command = [sys.executable, "-P", "-m", _MODULE, *folders]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                process_group=0,
            )  # fmt: skip
        except OSError as error:  # no memory, or too many processes or open files
            self._state, self._detail = "failed", f"it cannot be started ({error.strerror})"
            return
        self._follower = threading.Thread(target=self._follow, args=(self._process,), daemon=True)
        self._follower.start()

    def _follow(self, process: subprocess.Popen[str]) -> None:
        """Take the messages of a process until it ends."""
        said: deque[str] = deque(maxlen=1)
        errors = threading.Thread(target=_drain, args=(process.stderr or (), said), daemon=True)
        errors.start()
        with process:
            for line in process.stdout or ():
                with suppress(ValidationError):
                    self.take(MESSAGES.validate_json(line))
            code = process.wait()
            errors.join()
        with self._lock:
            if process is not self._process:
                return
            self._process = None
            if not self._closed.is_set():
                self._state, self._progress = "failed", 0.0
                if code < 0:
                    why = f"it was ended by signal {-code}"
                else:
                    why = said[0] if said else f"it ended with status {code}"
                self._detail = f"{why}; it starts again after the next change"
                self._dirty = True

    def _tell(self, command: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError, ValueError):  # it just ended, which `_follow` tells
                self._process.stdin.write(command + "\n")
                self._process.stdin.flush()


def _drain(lines: Iterable[str], said: deque[str]) -> None:
    for line in lines:
        if line.strip():
            said.append(line.strip())


def _plain(estimate: Promise | None) -> dict[str, Any] | None:
    return None if estimate is None else estimate.model_dump(mode="json")
