"""Teaching of a source: the teacher answers, a student learns beside it and takes over."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edgeloop.edge.cli.signals import stopped_by_signals
from edgeloop.edge.drift.drift_sink import DriftSink
from edgeloop.edge.frames.folder import FrameWriter
from edgeloop.edge.host.hardware import usable_cores
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.plugins import call_plugin, load_plugin
from edgeloop.edge.result import Result, Sink
from edgeloop.edge.ring.ring_entry import RingModel
from edgeloop.edge.run_job import RunJob, run_job
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.source_name import is_footage
from edgeloop.edge.synth import Scene
from edgeloop.labeling.lineage.generation import Generation
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.teaching.course.draw_timeline import Mark, draw_timeline
from edgeloop.labeling.teaching.course.scene_score import SceneScore
from edgeloop.labeling.teaching.course.timeline import Timeline
from edgeloop.labeling.teaching.kept_frames import KeptFrames, count_kept, drawn_pictures
from edgeloop.labeling.teaching.learning.learner_link import LearnerLink
from edgeloop.labeling.teaching.learning.learner_messages import (
    FramesWanted,
    GenerationMade,
    Message,
    TeacherReady,
)
from edgeloop.labeling.teaching.open_loop import loop_exemplars, teaching_lock
from edgeloop.labeling.teaching.published_teacher import TEACHER_FILE, read_teacher
from edgeloop.labeling.teaching.student_ring import StudentRing
from edgeloop.labeling.teaching.switching_detector import NotReadyError, SwitchingDetector, open_spec
from edgeloop.models.bundle.frame_statistics import FrameStatistics
from edgeloop.models.errors import DataError, EdgeloopError
from edgeloop.models.weights.digest import file_sha256

__all__ = ["TeachJob", "Truth", "teach"]

_TEACHER_THREADS = 1  # the learning needs the other cores
_FEW_CORES = 2  # so few that the learning would wait for the answers, which then rest for
_REST_SHARE = 0.7  # of the time that each took
_SPEC_SIDE = 320  # px; nominal, each detector has its own
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Truth:
    """Truth of a source that is a built-in scene.

    Attributes:
        scene: The scene.
        index: Map from `Frame.index` to the scene's own index.
    """

    scene: Scene
    index: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class TeachJob:
    """Options of a teaching.

    Attributes:
        run: Source, sinks and limits, as of `edgeloop run`.
        loop: The loop.
        confidence: Minimum confidence of an answer, exclusive.
        learner: Command line of the process that learns.
        truth: Truth of the source; None if it is unknown.
    """

    run: RunJob
    loop: LoopFolder
    confidence: float
    learner: list[str]
    truth: Truth | None = None


def teach(job: TeachJob) -> bool:
    """Answer on a source while a student learns, until it ends, a limit is reached, or a signal stops it.

    After the end of footage it goes on until the student is in use or was refused.

    Args:
        job: Source, loop and limits.

    Returns:
        True if it was interrupted from the keyboard.

    Raises:
        EdgeloopError: The loop, source or a sink cannot be used, or the source failed.
    """
    return _Teaching(job).run()


class _Teaching:
    def __init__(self, job: TeachJob) -> None:
        self._job, self._loop = job, job.loop
        self._began = time.monotonic()
        names = loop_exemplars(job.loop).names
        live = not is_footage(job.run.sources[0])
        self._detector = SwitchingDetector(
            job.loop.root,
            open_spec(names, _SPEC_SIDE, job.confidence),
            live=live,
            wait_until=self._began + (job.run.duration_s or math.inf),
        )
        self._who: str | None = None
        self._marks: list[Mark] = []
        self._last = "the learning ended"
        self._stream: Stream | None = None
        self._kept: KeptFrames | None = None
        self._held = ExitStack()
        self._wanted = 0
        self._student: RingModel | None = None
        self._score = None
        if job.truth is not None and set(names) <= {*job.truth.scene.classes}:  # a person may name them anew
            self._score = SceneScore(job.truth.scene, names, job.truth.index)
        self._timeline = Timeline(job.loop.root / "timeline.jsonl", self._look)
        self._link = LearnerLink(job.learner, self._take, self._tell)

    def run(self) -> bool:
        with self._held:
            self._held.enter_context(teaching_lock(self._loop))
            return self._run()

    def _run(self) -> bool:
        interrupted = False
        self._timeline.start()
        try:
            current = self._loop.current()
            self._link.frames(count_kept(self._loop.frames))
            self._link.start()
            if current is None:
                self._resume_teacher()
            else:
                self._switch_student(current, "the loop's current one")
            interrupted = run_job(self._job.run, self._detector, self._attach, self._detector.end)
            if not self._detector.ended and self._left_s() > 0:
                interrupted = self._await_student()
            if self._who is None:
                self._tell("Ended before anybody answered; the same command goes on learning")
        finally:
            self._link.close()
            self._timeline.close()
            self._draw()
        return interrupted

    def _attach(self, stream: Stream) -> None:
        """Add what a teaching needs to the stream."""
        self._stream = stream
        stream.on_failure = lambda error: isinstance(error, NotReadyError)
        if self._loop.current() is None:
            count = count_kept(self._loop.frames)
            writer = self._held.enter_context(FrameWriter(self._loop.frames, append=True))
            self._kept = KeptFrames(
                writer, stream.source, self._link.frames, self._tell, count=count, wanted=self._wanted,
                drawn=drawn_pictures(self._loop),
            )  # fmt: skip
            self._kept.wanted = self._wanted  # which may have changed meanwhile
            stream.sinks.append(self._kept)
        ring = StudentRing(self._loop.ring, stream.source, lambda: self._student, self._tell)
        stream.sinks += [ring, DriftSink(stream, self._statistics)]
        if self._score is not None:
            stream.sinks.append(self._score)
        stream.sinks.append(_Pace(self._first_answer, self._rest_share))

    def _take(self, message: Message) -> None:
        """Act on a message of the process that learns; runs in a thread of the link."""
        try:
            if isinstance(message, TeacherReady):
                self._switch_teacher(message)
            elif isinstance(message, GenerationMade):
                self._take_generation(message)
            elif isinstance(message, FramesWanted):
                self._want(message.frames)
            else:
                self._last = message.text
                self._tell(message.text)
        except Exception as error:  # whatever it is, the answers go on, and the next message may be better
            self._tell(f"No change of who answers: {error}")

    def _want(self, frames: int) -> None:
        """Keep so many frames in all."""
        self._wanted = frames
        if self._kept is not None:
            self._kept.wanted = frames

    def _resume_teacher(self) -> None:
        teacher = read_teacher(self._loop.teacher)
        count = len(loop_exemplars(self._loop).frames)
        if teacher is None:
            self._tell(f"Nobody answers yet: a teacher learns from {count} frames of a person")
        else:
            self._switch_teacher(TeacherReady(round=teacher.round, learned_from=count, map50=teacher.map50))

    def _switch_teacher(self, message: TeacherReady) -> None:
        teacher = read_teacher(self._loop.teacher)
        if teacher is None or self._student_answers:
            return
        # Loaded as late as here, with torch: what is wrong with the arguments is said before.
        factory: Any = load_plugin("edgeloop.detectors", Path(TEACHER_FILE).stem)
        path = self._loop.teacher / TEACHER_FILE
        self._detector.switch(call_plugin("teacher", factory, path, _TEACHER_THREADS, self._job.confidence))
        self._who = f"teacher, round {message.round}"
        expected = "" if message.map50 is None else f", expected mAP50 {message.map50:.2f}"
        self._tell(
            f"The teacher answers (round {message.round}, from {message.learned_from} frames of a person"
            f"{expected}) until a student agrees with it"
        )

    def _take_generation(self, message: GenerationMade) -> None:
        if message.verdict != "promoted":
            self._tell(
                f"Student {message.number} was refused: {message.reason}; the teacher goes on answering"
            )
            return
        current = self._loop.current()
        if current is not None:
            self._switch_student(current, current.reason)
            self._want(0)

    def _switch_student(self, generation: Generation, why: str) -> None:
        bundle = self._loop.bundle(generation.number)
        self._detector.switch(Detector(bundle, live=True, confidence=self._job.confidence))
        self._who = f"student, generation {generation.number}"
        digest = generation.digests.bundle or file_sha256(bundle)
        self._student = RingModel(digest, generation.names, self._job.confidence)
        self._mark("student")
        self._tell(f"The student answers from now on (generation {generation.number}): {why}")

    @property
    def _student_answers(self) -> bool:
        return isinstance(self._detector.answering, Detector)

    def _first_answer(self) -> None:
        self._mark("first answer")

    def _rest_share(self) -> float:
        """Time to rest after an answer, as a share of the time that it took."""
        busy = usable_cores() <= _FEW_CORES and not self._link.done.is_set()
        return 0.0 if self._student_answers or not busy else _REST_SHARE

    @property
    def _settled(self) -> bool:
        """True if nothing more is to be waited for."""
        return self._student_answers or self._link.done.is_set()

    def _statistics(self) -> FrameStatistics | None:
        """Statistics of the frames that the student knows; None while the teacher answers."""
        answering = self._detector.answering
        return answering.frames if isinstance(answering, Detector) else None

    def _left_s(self) -> float:
        limit = self._job.run.duration_s
        return float("inf") if limit is None else limit - (time.monotonic() - self._began)

    def _await_student(self) -> bool:
        """Wait after the end of the footage until a student was made; True if interrupted."""
        self._link.ended()
        if not self._settled:
            self._tell("The source has ended; waits for the student to learn")
        with stopped_by_signals(lambda: None) as signals:
            while not signals and not self._settled and self._left_s() > 0:
                time.sleep(_POLL_S)
        if not signals and self._link.done.is_set() and not self._student_answers:
            raise DataError(f"{self._loop.root}: no student was made; {self._last}")
        return signal.SIGINT in signals

    def _look(self) -> tuple[str | None, int, int, float | None]:
        """State for the timeline."""
        frames = 0 if self._stream is None else self._stream.meter.frames
        kept = 0 if self._kept is None else self._kept.count
        return self._who, frames, kept, None if self._score is None else self._score.map50()

    def _mark(self, text: str) -> None:
        self._marks.append(Mark(round(self._timeline.seconds, 2), text))
        self._timeline.note(text)

    def _tell(self, text: str) -> None:
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        click.echo(f"{clear}[{self._timeline.seconds:.0f} s] {text}", err=True)
        self._timeline.note(text)

    def _draw(self) -> None:
        picture = self._loop.root / "teach.png"
        title = (
            f"{self._job.run.sources[0] if self._job.truth else self._loop.root.name}: teacher, then student"
        )
        if self._timeline.problem:
            click.echo(f"warning: {self._timeline.problem}", err=True)
        try:
            draw_timeline(list(self._timeline.moments), self._marks, title, picture)
        except EdgeloopError as error:  # a full disk hides no other failure
            click.echo(f"warning: {error}", err=True)
        else:
            click.echo(f"{picture}: frames per second over time", err=True)


class _Pace(Sink):
    """Tells of the first answer, and rests after each for as long as the learning needs the processor.

    It is the last sink of a stream: a live source then gives the newest frame after the rest.
    """

    def __init__(self, on_first: Callable[[], None], rest_share: Callable[[], float]) -> None:
        self._on_first: Callable[[], None] | None = on_first
        self._rest_share = rest_share

    def write(self, result: Result) -> None:
        if self._on_first is not None:
            self._on_first()
            self._on_first = None
        time.sleep(self._rest_share() * result.timings.stages_ms["infer"] / 1000)

    def close(self) -> None:
        pass
