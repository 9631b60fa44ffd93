"""Process that learns for a loop while another one answers; the one that answers starts it.

`python -m edgeloop.labeling.teaching.learning.learning_process LOOP PLAN`, PLAN being a `LearningPlan` as
JSON. It reads commands from standard input, a line each: "frames NUMBER" (so many are kept) and "ended" (no
more will come); at its end the process ends. It writes messages to standard output.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from edgeloop.edge.host.hardware import usable_cores
from edgeloop.edge.host.malloc import keep_freed_memory
from edgeloop.labeling.engine.members import limited_threads
from edgeloop.labeling.engine.rounds import Learner, Steps
from edgeloop.labeling.improvement.make_generation import GenerationOptions, make_generation
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.parent_process import say, take_commands
from edgeloop.labeling.sam import load
from edgeloop.labeling.teaching.learning.agreement import judge_by
from edgeloop.labeling.teaching.learning.hand_over import hand_over
from edgeloop.labeling.teaching.learning.learner_messages import (
    FramesWanted,
    GenerationMade,
    TeacherReady,
    Told,
)
from edgeloop.labeling.teaching.learning.learning_plan import MOST_FRAMES, LearningPlan
from edgeloop.labeling.teaching.learning.watch_ring import RingWatch
from edgeloop.labeling.teaching.open_loop import loop_exemplars
from edgeloop.labeling.teaching.teacher_detector import publish_teacher
from edgeloop.models.errors import EdgeloopError

__all__ = ["Commands", "Teaching"]

_MORE = 1.5  # times as many frames before another generation is made after one that was refused


class Commands:
    """Commands of the process that answers, read in a thread."""

    def __init__(self) -> None:
        """Start without frames."""
        self.frames = 0
        self.ended = False
        self._changed = threading.Condition()

    def take(self, command: str) -> None:
        """Take one command."""
        name, _, number = command.partition(" ")
        with self._changed:
            if name == "frames" and number.isdecimal():
                self.frames = int(number)
            elif name == "ended":
                self.ended = True
            self._changed.notify_all()

    def enough(self, frames: int) -> bool:
        """True if so many frames are kept, or no more will come."""
        return self.ended or self.frames >= frames

    def wait(self, frames: int) -> None:
        """Wait for so many frames, or for the last one."""
        with self._changed:
            self._changed.wait_for(lambda: self.enough(frames))


def tell(text: str) -> None:
    """Write a line for the person."""
    say(Told(text=text))


@dataclass
class Teaching:
    """Learning for one loop: the teacher in rounds, then a student of it.

    Attributes:
        loop: The loop.
        plan: Settings.
        commands: What the process that answers says.
    """

    loop: LoopFolder
    plan: LearningPlan
    commands: Commands

    def run(self) -> None:
        """Learn until a student is in use, then look at its ring; end if no student is good enough."""
        if self.loop.current() is not None or self._learn():
            RingWatch(self.loop, self._rest, tell).run()

    def _rest(self) -> None:
        time.sleep(self.plan.look_every_s)

    def _learn(self) -> bool:
        """Learn until a student is in use; False if all frames were there and none was good enough."""
        wanted = self.plan.frames
        say(FramesWanted(frames=wanted))
        learner = self._teacher()
        while True:
            self.commands.wait(wanted)
            frames = self.commands.frames
            if not self._student(learner):
                return True
            if self.commands.ended and self.commands.frames == frames:
                tell("no more frames will come; go on with more footage, or with boxes on more frames")
                return False
            if frames >= MOST_FRAMES:
                tell(f"no student from {frames} frames; try it with boxes on more frames")
                return False
            wanted = min(round(_MORE * max(frames, wanted)), MOST_FRAMES)
            say(FramesWanted(frames=wanted))
            tell(f"Collects frames up to {wanted}, then another student learns")

    def _teacher(self) -> Learner:
        """Learn from the person's frames in rounds, at least until every member has seen them."""
        exemplars, plan = loop_exemplars(self.loop), self.plan
        steps = Steps(first=plan.first, again=plan.first, full=plan.full)
        settings = self.loop.settings
        learner = Learner(
            self.loop.teacher / "rounds", load(settings.sam, offline=True), seed=settings.seed, steps=steps
        )
        learner.take(exemplars)
        if learner.round:
            self._publish(learner)
        round_ = learner.next_round()
        while round_ is not None and (round_.quick or not self.commands.enough(plan.frames)):
            learner.train(round_, lambda _: True)
            round_ = learner.next_round()
            # Writing the graph takes as long as some twenty steps: once for the first answer, then when all
            # members have learned something, then with each that has learned more.
            if learner.round == 1 or round_ is None or not round_.quick:
                self._publish(learner)
        return learner

    def _publish(self, learner: Learner) -> None:
        exemplars = learner.exemplars
        engine = learner.engine(confidence=_confidence(self.loop))
        if engine is None:
            return
        teacher = publish_teacher(
            self.loop.teacher, learner.graph, engine, side=learner.side, names=exemplars.names,
            number=learner.round,
        )  # fmt: skip
        say(TeacherReady(round=teacher.round, learned_from=len(exemplars.frames), map50=teacher.map50))

    def _student(self, learner: Learner) -> bool:
        """Make a generation; True if another one is to be tried with more frames."""
        plan, loop = self.plan, self.loop
        options = GenerationOptions(
            epochs=plan.epochs,
            imgsz=plan.imgsz,
            seed=loop.settings.seed,
            judge=judge_by(learner.held_out, plan.agreement),
            workers=1,  # threads would take more memory beside the answers
        )
        hand_over(learner, loop)
        try:
            # A thread whose core the answers hold would keep the others waiting at every step.
            free = usable_cores() if self.commands.ended else max(1, usable_cores() - 1)
            with limited_threads(free):
                made = make_generation(loop, options, tell)
        except EdgeloopError as error:
            tell(f"No student yet: {error}")
            return True
        say(GenerationMade(number=made.number, verdict=made.verdict, reason=made.reason))
        return made.verdict != "promoted"


def _confidence(loop: LoopFolder) -> float:
    """Minimum label score of a loop."""
    return 0.5 if loop.settings.confidence is None else loop.settings.confidence


def main() -> None:
    """Run the process."""
    keep_freed_memory()
    commands = Commands()
    take_commands(commands.take)
    try:
        plan = LearningPlan.model_validate_json(sys.argv[2])
        os.nice(plan.nice)
        Teaching(LoopFolder.open(Path(sys.argv[1])), plan, commands).run()
    except EdgeloopError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
