from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest

from edgeloop.edge.bench.time_command import ProcessTiming, time_command
from edgeloop.models.errors import UnavailableError

LINES = """
import sys, time
time.sleep(0.3)
print('loading')
for frame in range({frames}):
    print(f'image {{frame + 1}}/9 a.png: 64x64 (no detections), 4.2ms', flush=True)
    time.sleep({pause})
print('done')
"""


FRAME = re.compile(r"image \d+/\d+ .*ms$")


def command(frames: int, pause: float = 0.05) -> list[str]:
    return [sys.executable, "-c", LINES.format(frames=frames, pause=pause)]


def timed(words: list[str], *, frames: int = 5, limit_s: float = 60) -> ProcessTiming:
    return time_command("yolo predict", words, frame=FRAME, frames=frames, limit_s=limit_s)


def test_lines_of_frames_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    # The start of the process, and then each line of a frame: on a busy machine real ones come in bunches.
    times_s = iter([10.0, 13.0, 13.1, 13.3, 13.4, 13.5])
    monkeypatch.setattr(
        "edgeloop.edge.bench.time_command.time", SimpleNamespace(monotonic=lambda: next(times_s))
    )
    timing = timed(command(9))
    assert (timing.first_detection_s, timing.fps) == (3.0, 8.0)
    assert 3 < timing.peak_memory_mb < 100


@pytest.mark.slow
def test_a_command_that_runs_on_is_ended() -> None:
    with pytest.raises(UnavailableError, match="`yolo predict` did not run the model; it said last: "):
        timed(command(9, pause=1000), limit_s=0.5)


def test_a_command_that_fails_is_one_line_with_its_last_word() -> None:
    with pytest.raises(
        UnavailableError, match=r"`yolo predict` did not run the model; it said last: no such model$"
    ):
        timed([sys.executable, "-c", "print('no such model\\n')"])


def test_one_frame_has_no_rate() -> None:
    timing = timed(command(9), frames=1)
    assert timing.fps == 0
    assert timing.first_detection_s > 0.3
