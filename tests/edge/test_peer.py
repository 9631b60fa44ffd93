from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge.peer import find_peer, run_peer, watch
from models.errors import UnavailableError

LINES = """
import sys, time
time.sleep(0.3)
print('loading')
for frame in range({frames}):
    print(f'image {{frame + 1}}/9 a.png: 64x64 (no detections), 4.2ms', flush=True)
    time.sleep({pause})
print('done')
"""


def command(frames: int, pause: float = 0.05) -> list[str]:
    return [sys.executable, "-c", LINES.format(frames=frames, pause=pause)]


def test_lines_of_frames_are_timed(tmp_path: Path) -> None:
    fresh = watch(command(9), tmp_path, frames=5)
    assert 5 < fresh.fps <= 20.5
    assert 0.3 < fresh.first_detection_s < 20
    assert 3 < fresh.peak_memory_mb < 100


def test_a_command_that_runs_on_is_ended(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="it said last: image 1/9"):
        watch(command(9, pause=1000), tmp_path, frames=5, limit_s=3)


def test_a_command_that_fails_is_one_line_with_its_last_word(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"did not run the model; it said last: no such model$"):
        watch([sys.executable, "-c", "print('no such model\\n')"], tmp_path, frames=5)


def test_ultralytics_runs_the_same_model(block_model: Path, clip: Path) -> None:
    try:
        yolo = find_peer()
    except UnavailableError:
        pytest.skip("no ultralytics here: pip install ultralytics")
    fresh = run_peer(yolo, block_model, clip, frames=5, provider="cpu", confidence=0.25)
    assert fresh.fps > 0
    assert fresh.peak_memory_mb > 100
