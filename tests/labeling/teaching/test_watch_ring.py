"""Looks of the teacher at the ring of a student."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.ring.ring_database import Ring, read_ring
from edgeloop.labeling.engine.calibration import Calibration
from edgeloop.labeling.engine.coverage import Coverage
from edgeloop.labeling.lineage.loop_folder import LoopFolder, LoopSettings
from edgeloop.labeling.teaching.learning.watch_ring import RingWatch, next_look
from edgeloop.models.detections import Detections
from tests.labeling.improvement.rings import picture, write_ring

CALIBRATION = Calibration(0.0, 0.1)


@dataclass
class Finder:
    """Teacher that finds one object in every image."""

    calibration: Calibration = CALIBRATION
    coverage: Coverage | None = None
    looked: list[int] = field(default_factory=list)

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        self.looked.append(image.shape[0])
        box = np.array([[4, 4, 20, 20]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.zeros(1, np.int64))


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    """Ring of 60 frames, every other one of the random share, whose doubt rises."""
    write_ring(tmp_path / "loop" / "ring", [picture(number) for number in range(60)])
    return read_ring(tmp_path / "loop" / "ring")


def test_frames_in_doubt_and_of_the_random_share_take_turns(ring: Ring) -> None:
    doubtful = next_look(ring.entries, set(), by_chance=False)
    assert doubtful is not None
    assert doubtful.doubt == max(entry.doubt for entry in ring.entries)
    drawn = next_look(ring.entries, set(), by_chance=True)
    assert drawn is not None
    assert drawn.share == "random"
    ranked = {entry.frame.file for entry in ring.entries if entry.share == "ranked"}
    rest: list[str] = []
    while (entry := next_look(ring.entries, ranked | set(rest), by_chance=False)) is not None:
        rest.append(entry.frame.file)
    assert sorted(rest) == sorted(entry.frame.file for entry in ring.entries if entry.share == "random")
    assert rest != sorted(rest)  # the random share in no order of doubt


def test_each_frame_is_looked_at_once_and_the_misses_are_told(ring: Ring, tmp_path: Path) -> None:
    loop = LoopFolder(tmp_path / "loop", LoopSettings(created=datetime.now(UTC).isoformat()))
    lines: list[str] = []
    rests: list[None] = []
    watch = RingWatch(loop, lambda: rests.append(None), lines.append)
    finder = Finder()
    for _ in range(5):
        watch.look(ring, finder, ("thing",))
    assert len(finder.looked) == len(rests) == 60
    assert len(lines) == 1
    assert lines[0].startswith("The teacher looked at 40 frames of the ring: ")
    assert lines[0].endswith("; a miss is likely on 40")


def test_frames_that_are_gone_are_passed_over(ring: Ring, tmp_path: Path) -> None:
    for entry in ring.entries[:50]:
        ring.path(entry).unlink()
    loop = LoopFolder(tmp_path / "loop", LoopSettings(created=datetime.now(UTC).isoformat()))
    watch = RingWatch(loop, lambda: None, lambda _: None)
    finder = Finder()
    for _ in range(60):
        watch.look(ring, finder, ("thing",))
    assert len(finder.looked) == 10
