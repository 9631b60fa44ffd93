"""Report of a run whose disk is full."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeloop.edge.cli.run_report import raise_failure, report_run
from edgeloop.edge.frame import Frame
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.sources.iterable import ImageIterable
from edgeloop.models.detections import Detections
from edgeloop.models.errors import UnavailableError


@pytest.fixture
def stream() -> Stream:
    """A source that gave one frame."""
    stream = Stream(ImageIterable([]), Meter(["block"]))
    frame = Frame(np.zeros((4, 4, 3), np.uint8), 0, time.monotonic(), 0.0, "images")
    stream.meter.add(Result(frame, Detections.empty(), Timings(1.0, {"infer": 1.0})))
    return stream


def test_the_figures_are_printed_also_if_their_file_cannot_be_written(
    stream: Stream, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    detector: Any = SimpleNamespace(
        path="m.onnx", provider="cpu", placement=SimpleNamespace(share=1.0), threads=SimpleNamespace(count=2)
    )
    with pytest.raises(FileNotFoundError):
        report_run([stream], tmp_path / "gone" / "run.json", detector)
    assert "1 frame in" in capsys.readouterr().err


def test_a_disk_that_fills_during_a_run_is_no_fault_of_the_program(stream: Stream) -> None:
    stream.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out.mp4")
    with pytest.raises(UnavailableError, match=r"out\.mp4: No space left on device; make room"):
        raise_failure([stream])
