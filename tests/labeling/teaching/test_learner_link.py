"""The process that learns: followed, killed, started again, given up."""

from __future__ import annotations

import os
import signal
import sys

from edgeloop.edge.service.worker.restart_pacer import RestartPacer
from edgeloop.labeling.teaching.learning.learner_link import LearnerLink
from edgeloop.labeling.teaching.learning.learner_messages import Message, TeacherReady, Told
from tests.waiting import until

READY = """print('{"kind":"teacher","round":1,"learned_from":5,"map50":null}', flush=True)\n"""
ECHO = """
import sys
for line in sys.stdin:
    print('{"kind":"told","text":"' + line.strip() + '"}', flush=True)
    if line.strip() == 'ended':
        break
"""


class Followed:
    """Link to a process that runs some code, with all that it told."""

    def __init__(self, code: str) -> None:
        self.lines: list[str] = []
        self.messages: list[Message] = []
        pacer = RestartPacer(pauses_s=(0.1,))
        self.link = LearnerLink([sys.executable, "-c", code], self.messages.append, self.lines.append, pacer)
        self.link.start()


def test_a_process_is_told_of_frames_and_of_the_end() -> None:
    followed = Followed(ECHO)
    until(lambda: Told(text="frames 0") in followed.messages)
    followed.link.frames(7)
    followed.link.ended()
    assert followed.link.done.wait(20)
    assert [message.text for message in followed.messages if isinstance(message, Told)] == [
        "frames 0",
        "frames 7",
        "ended",
    ]
    assert followed.lines == []


def test_a_killed_process_is_started_again_and_told_anew() -> None:
    followed = Followed(ECHO)
    followed.link.frames(3)
    until(lambda: Told(text="frames 3") in followed.messages)
    followed.messages.clear()
    assert followed.link.pid is not None
    os.kill(followed.link.pid, signal.SIGKILL)
    until(lambda: followed.link.restarts == 1 and Told(text="frames 3") in followed.messages)
    assert followed.lines == [
        "The learning ended, as it was ended by signal 9; it starts again and goes on with what is on disk"
    ]
    assert followed.link.restarts == 1
    followed.link.ended()
    assert followed.link.done.wait(20)


def test_a_process_that_always_fails_is_given_up() -> None:
    followed = Followed("import sys; sys.exit('no memory left')")
    assert followed.link.done.wait(30)
    assert followed.link.restarts == 5
    assert followed.lines[0].startswith("The learning ended, as no memory left; it starts again")
    assert (
        followed.lines[-1] == "The learning ended 6 times in a row, at last as no memory left; it stays off"
    )


def test_other_lines_of_a_process_are_no_messages() -> None:
    followed = Followed("print('a library says something')\n" + READY)
    assert followed.link.done.wait(20)
    assert followed.messages == [TeacherReady(round=1, learned_from=5, map50=None)]


def test_closing_ends_the_process() -> None:
    followed = Followed("import time; time.sleep(60)")
    until(lambda: followed.link.pid is not None)
    followed.link.close()
    assert followed.link.pid is None
    assert followed.lines == []


def test_no_process_is_started_once_the_link_is_closed() -> None:
    link = LearnerLink([sys.executable, "-c", "import time; time.sleep(60)"], print, print)
    link.close()
    assert link._follow_one() is None
    assert link.pid is None
