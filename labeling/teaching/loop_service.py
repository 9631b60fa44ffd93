"""Loop for `edgeloop serve`: says which model is to answer, and learns in a process beside the service."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from edgeloop.edge.frame import Source
from edgeloop.edge.frames.folder import FrameWriter
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.teaching.kept_frames import KeptFrames, count_kept, drawn_pictures
from edgeloop.labeling.teaching.learning.learner_link import LearnerLink, learner_command
from edgeloop.labeling.teaching.learning.learner_messages import FramesWanted, GenerationMade, Message, Told
from edgeloop.labeling.teaching.learning.learning_plan import LearningPlan
from edgeloop.labeling.teaching.open_loop import teaching_lock
from edgeloop.labeling.teaching.published_teacher import TEACHER_FILE

__all__ = ["LoopService", "open_loop_service"]


class LoopService:
    """See `edgeloop.edge.service.taught.served_loop.ServedLoop`: its cameras keep frames together."""

    def __init__(self, loop: LoopFolder, tell: Callable[[str], None], command: list[str]) -> None:
        """Prepare the loop.

        Args:
            loop: The loop, with exemplars.
            tell: Called with lines for the log.
            command: Command line of the process that learns.
        """
        self._loop, self._tell = loop, tell
        self._link = LearnerLink(command, self._take, tell)
        self._sinks: list[KeptFrames] = []
        self._before = count_kept(loop.frames)
        self._writer: FrameWriter | None = None
        self._wanted = 0
        self._held = ExitStack()

    def start(self) -> None:
        """Start to learn.

        Raises:
            DataError: Another process teaches on the loop.
        """
        self._held.enter_context(teaching_lock(self._loop))
        self._link.frames(self._before)
        self._link.start()

    def model(self) -> Path | None:
        """Model file that is to answer now."""
        current = self._loop.current()
        if current is not None:
            return self._loop.bundle(current.number)
        teacher = self._loop.teacher / TEACHER_FILE
        return teacher if teacher.is_file() else None

    def sink(self, source: Source) -> KeptFrames:
        """Make the sink that keeps frames of a source, as many as the next student needs."""
        self._writer = self._writer or FrameWriter(self._loop.frames, append=True)
        sink = KeptFrames(
            self._writer, source, self._count, self._tell, count=self._before, wanted=self._wanted,
            drawn=drawn_pictures(self._loop),
        )  # fmt: skip
        self._sinks.append(sink)
        sink.wanted = self._wanted  # which may have changed meanwhile
        return sink

    def close(self) -> None:
        """End the process, and close the folder of the frames."""
        self._link.close()
        if self._writer is not None:
            self._writer.__exit__()
        self._held.close()

    def _count(self, _: int) -> None:
        """Count the frames of all cameras; called by one of them, in the thread that they share."""
        total = self._before + (0 if self._writer is None else self._writer.written)
        for sink in self._sinks:
            sink.count = total
        self._link.frames(total)

    def _take(self, message: Message) -> None:
        if isinstance(message, FramesWanted):
            self._wanted = message.frames
            for sink in self._sinks:
                sink.wanted = message.frames
        elif isinstance(message, GenerationMade):
            self._tell(f"student {message.number} is {message.verdict}: {message.reason}")
        elif isinstance(message, Told):
            self._tell(message.text)


def open_loop_service(folder: Path, tell: Callable[[str], None]) -> LoopService:
    """Open a loop for a service, the plug-in `loop` of the group `edgeloop.loops`.

    Raises:
        NoInputError: There is no loop in the folder.
        DataError: It is damaged.
    """
    loop = LoopFolder.open(folder)
    return LoopService(loop, tell, learner_command(folder, LearningPlan().model_dump_json()))
