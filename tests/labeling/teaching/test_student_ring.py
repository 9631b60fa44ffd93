"""Ring of a loop while its students take over from each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeloop.edge.frame import Frame
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.ring.ring_database import read_ring
from edgeloop.edge.ring.ring_entry import RingModel
from edgeloop.edge.sources.iterable import ImageIterable
from edgeloop.labeling.teaching.student_ring import StudentRing
from edgeloop.models.detections import Detections
from tests.blocks import draw_block

FOUND = Detections(np.array([[9, 9, 40, 40]], np.float32), np.array([0.7], np.float32), np.zeros(1, np.int64))


def test_doubt_goes_by_the_threshold_of_the_student_that_answered(tmp_path: Path) -> None:
    students = [
        None,
        *(RingModel(digest * 64, ("block",), score) for digest, score in (("a", 0.4), ("b", 0.6))),
    ]
    answering = students[0]
    ring = StudentRing(tmp_path / "ring", ImageIterable([]), lambda: answering, pytest.fail)
    for index in range(6):
        answering = students[index // 2]
        frame = Frame(draw_block(index), index, 0.0, 0.0, "belt", float(index))
        ring.write(Result(frame, FOUND, Timings(0.0, {})))
    ring.close()
    drawn = [entry for entry in read_ring(tmp_path / "ring").entries if entry.share == "random"]
    doubts = [(entry.frame.index, round(entry.doubt, 3)) for entry in drawn]
    assert doubts == [(2, 0.5), (3, 0.5), (4, 0.75), (5, 0.75)]
