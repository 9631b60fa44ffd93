"""Process that learns from the drawn frames and finds boxes in the others; the page's server starts it.

`python -m edgeloop.labeling.studio.proposals.propose FRAMES EXEMPLARS FOLDER`. It reads commands from
standard input, a line each: "changed", "pause", "resume", "look NUMBER"; at its end the process ends. It
writes messages to standard output.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from edgeloop.edge.frames.folder import read_frames
from edgeloop.edge.host.malloc import keep_freed_memory
from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.labeling.engine.engine import Engine
from edgeloop.labeling.engine.rounds import Interrupted, Learner, Steps
from edgeloop.labeling.frames.suggestion import describe_cells, select_frames
from edgeloop.labeling.inputs.exemplars import Exemplars, read_boxes, read_exemplars
from edgeloop.labeling.parent_process import say, take_commands
from edgeloop.labeling.sam import load
from edgeloop.labeling.studio.proposals.messages import Found, Learned, Next, Progressed, ProposedBox
from edgeloop.models.boxes import nms
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError

__all__ = ["CONFIDENCE", "Commands", "ProposalJob", "propose", "spread"]

CONFIDENCE = 0.5
"""Minimum score of a proposal for the estimate."""

_NICE = 10
_SETTLE_S = 2.5  # without a change before a round begins
_SEARCH_S, _LEAST_FRAMES = 8.0, 24  # of the search between two rounds
_LEAST_SCORE, _MAX_BOXES = 0.05, 300  # of a frame
_SAME_IOU = 0.5  # above it the less sure of two boxes of a class is left out: early rounds find some twice
_COMPARED, _SUGGESTED = 200, 5  # frames, before anything is drawn
_TELL_S = 0.5


class Commands:
    """Commands of the server, read in a thread."""

    def __init__(self) -> None:
        """Begin with a change: what is drawn already."""
        self.changed = threading.Event()
        self.changed.set()
        self.looks: deque[int] = deque(maxlen=8)
        self._running = threading.Event()
        self._running.set()
        self._woken = threading.Event()

    def take(self, command: str) -> None:
        """Take one command."""
        name, _, number = command.partition(" ")
        if name == "changed":
            self.changed.set()
        elif name == "look" and number.isdecimal():
            self.looks.append(int(number))
        elif name == "pause":
            self._running.clear()
        elif name == "resume":
            self._running.set()
        self._woken.set()

    def go_on(self) -> None:
        """Wait while paused."""
        self._running.wait()

    def wait(self) -> None:
        """Wait for the next command."""
        self._woken.wait()
        self._woken.clear()

    def settle(self) -> None:
        """Wait until nothing has changed for a moment."""
        self.changed.clear()
        while self.changed.wait(_SETTLE_S):
            self.changed.clear()


def spread(count: int) -> list[int]:
    """Numbers below `count` in an order whose every beginning is spread evenly: bits reversed."""
    bits = max(count - 1, 0).bit_length()
    order = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits)) if bits else iter((0,))
    return [number for number in order if number < count]


def propose(
    frames: Path, exemplars: Path, folder: Path, commands: Commands, steps: Steps | None = None
) -> None:
    """Learn and search, anew after every change, for ever."""
    job = ProposalJob(frames, exemplars, folder, commands, steps)
    while True:
        try:
            job.run()
        except Interrupted:
            continue
        commands.wait()


class ProposalJob:
    """Learning and search for one folder of frames."""

    def __init__(
        self, frames: Path, exemplars: Path, folder: Path, commands: Commands, steps: Steps | None
    ) -> None:
        """Load what was learned before; see `propose`."""
        self._folder, self._file, self._commands = frames, exemplars, commands
        self._entries = read_frames(frames)
        self._order = spread(len(self._entries))
        self._looked = [-1] * len(self._entries)  # round of the last look
        self._learner = Learner(folder, load("nano", offline=True), steps=steps)
        self._engine: Engine | None = None
        self._names: tuple[str, ...] = ()  # classes of the engine
        self._drawn: frozenset[str] = frozenset()
        self._told = 0.0
        self._problem = ""  # with what is drawn
        self._suggested = False

    def run(self) -> None:
        """Learn from the frames as they are, round by round, each with a search after it."""
        commands = self._commands
        if not commands.changed.is_set():  # a command woke it
            self._look()
            return
        commands.settle()
        exemplars = self._read()
        if exemplars is None:
            self._engine = None
            say(Progressed(state="waiting", detail=self._problem))
            if not self._suggested:
                self._suggest()
            return
        self._drawn = frozenset(frame.path.name for frame in exemplars.frames)
        self._learner.take(exemplars)
        if self._engine is None and self._learner.round:  # an earlier process learned from about the same
            self._learned(exemplars.names)
            self._search(for_s=_SEARCH_S)
        while (plan := self._learner.next_round()) is not None:
            self._tell("learning", 0.0, at_once=True)
            self._learner.train(plan, partial(self._may_go_on, quick=plan.quick), self._commands.go_on)
            self._learned(exemplars.names)
            self._search(for_s=_SEARCH_S)
        self._search(for_s=None)
        say(Progressed(state="ready", learned_from=len(self._drawn), progress=1.0))

    def _read(self) -> Exemplars | None:
        try:
            return read_exemplars(self._file, self._folder)
        except (NoInputError, DataError):
            self._problem = self._fault()
            return None

    def _fault(self) -> str:
        """Reason why what is drawn cannot be read; empty if only no box is there yet."""
        try:
            read_boxes(self._file, self._folder, LabelProblems())
        except NoInputError:
            return ""
        except DataError as error:
            return str(error)
        return ""

    def _may_go_on(self, share: float, *, quick: bool) -> bool:
        """False if a round is to end because something changed; a quick one is worth its second half."""
        self._commands.go_on()
        self._tell("learning", share)
        self._look()
        return (quick and share >= 0.5) or not self._commands.changed.is_set()

    def _learned(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._engine = self._learner.engine(confidence=CONFIDENCE)
        promise = None if self._engine is None else self._engine.promise
        say(Learned(round=self._learner.round, learned_from=len(self._drawn), estimate=promise))

    def _search(self, *, for_s: float | None) -> None:
        """Search the frames that were not seen for the longest, for a while or to the end."""
        round_ = self._learner.round
        rank = {number: place for place, number in enumerate(self._order)}
        left = [number for number in self._order if self._is_open(number) and self._looked[number] < round_]
        left.sort(key=lambda number: (self._looked[number], rank[number]))
        began = time.monotonic()
        for done, number in enumerate(left):
            if for_s is not None and done >= _LEAST_FRAMES and time.monotonic() - began > for_s:
                return
            self._commands.go_on()
            if self._commands.changed.is_set():
                raise Interrupted
            self._tell("searching", done / len(left))
            self._look()
            if self._looked[number] < round_:
                self._find(number)

    def _is_open(self, number: int) -> bool:
        return self._entries[number].file not in self._drawn

    def _look(self) -> None:
        """Search the frames that the person opened."""
        while self._commands.looks:
            number = self._commands.looks.popleft()
            if self._engine is not None and number < len(self._entries) and self._is_open(number):
                self._find(number)

    def _find(self, number: int) -> None:
        self._looked[number] = self._learner.round
        image = read_image(self._folder / self._entries[number].file)
        if image is None or self._engine is None:
            return
        found = self._engine.detect(image)
        found = found[found.confidence >= _LEAST_SCORE]
        found = found[nms(found.xyxy, found.confidence, found.class_id, _SAME_IOU)][:_MAX_BOXES]
        rows = zip(found.xyxy.tolist(), found.class_id.tolist(), found.confidence.tolist(), strict=True)
        boxes = tuple(
            ProposedBox(
                xyxy=(round(x1, 2), round(y1, 2), round(x2, 2), round(y2, 2)),
                name=self._names[class_id],
                score=round(score, 4),
            )
            for (x1, y1, x2, y2), class_id, score in rows
        )
        say(Found(frame=number, round=self._learner.round, boxes=boxes))

    def _suggest(self) -> None:
        """Say which frames to draw first: those that resemble all others best."""
        kept, described = [], []
        for number in sorted(self._order[:_COMPARED]):
            self._commands.go_on()
            if self._commands.changed.is_set():
                raise Interrupted
            image = read_image(self._folder / self._entries[number].file)
            if image is not None:
                kept.append(number)
                described.append(describe_cells(image))
        if kept:
            sources = [self._entries[number].source for number in kept]
            chosen = select_frames(np.stack(described), min(_SUGGESTED, len(kept)), 0, sources)
            say(Next(frames=tuple(kept[place] for place in chosen)))
        self._suggested = True

    def _tell(self, state: Literal["learning", "searching"], share: float, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._told >= _TELL_S:
            self._told = time.monotonic()
            say(Progressed(state=state, learned_from=len(self._drawn), progress=round(share, 3)))


def main() -> None:
    """Run the process."""
    frames, exemplars, folder = map(Path, sys.argv[1:4])
    os.nice(_NICE)
    keep_freed_memory()
    commands = Commands()
    take_commands(commands.take)
    try:
        propose(frames, exemplars, folder, commands)
    except EdgeloopError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
