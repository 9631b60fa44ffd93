"""Counting and timing in bounded memory."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeloop.edge.frame import Frame
from edgeloop.edge.host.memory import peak_memory_mb
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.loop.summary import Percentiles, RunSummary, TotalSummary
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.sources.iterable import ImageIterable
from edgeloop.models.detections import Detections


def result(captured_at: float, latency_ms: float, class_ids: list[int]) -> Result:
    count = len(class_ids)
    found = Detections(
        np.zeros((count, 4), np.float32), np.ones(count, np.float32), np.array(class_ids, np.int64)
    )
    frame = Frame(np.zeros((4, 4, 3), np.uint8), 0, captured_at, 0.0, "test")
    return Result(frame, found, Timings(latency_ms, {"infer": latency_ms}))


def summary(meter: Meter) -> RunSummary:
    detector: Any = SimpleNamespace(
        path="m.onnx", provider="cpu", placement=SimpleNamespace(share=1.0), threads=SimpleNamespace(count=2)
    )
    source = ImageIterable([])
    source.dropped, source.stale, source.skipped = 3, 2, 1
    return Stream(source, meter).summary(detector)


def test_percentiles_are_those_of_numpy() -> None:
    assert Percentiles.of(range(101)) == Percentiles(50, 95, 99)


def test_a_summary_of_nothing_is_empty() -> None:
    empty = summary(Meter(["a"]))
    assert (empty.frames, empty.fps, empty.latency_ms, empty.detections) == (0, 0.0, None, {})


def test_a_summary_counts_classes_and_times_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeloop.edge.loop.meter.time", SimpleNamespace(monotonic=lambda: 100.5))
    meter = Meter(["bolt", "nut"])
    for _ in range(3):
        meter.add(result(100.0, 20.0, [1, 1, 0]))
    figures = summary(meter)
    assert figures.frames == 3
    assert figures.detections == {"nut": 6, "bolt": 3}
    assert figures.latency_ms == Percentiles(20, 20, 20)
    assert figures.stages_ms["infer"] == 20
    assert figures.stages_ms["act"] == pytest.approx(480)
    assert (figures.seconds, figures.fps) == (0.5, 6.0)
    assert (figures.dropped, figures.stale, figures.skipped) == (3, 2, 1)


def test_the_figures_of_one_source_say_nothing_of_zones_and_errors_where_there_are_none() -> None:
    assert list(summary(Meter(["a"])).as_dict()) == [
        "model",
        "source",
        "provider",
        "provider_share",
        "threads",
        "frames",
        "dropped",
        "stale",
        "skipped",
        "seconds",
        "fps",
        "latency_ms",
        "stages_ms",
        "detections",
        "peak_memory_mb",
    ]
    counted = replace(summary(Meter(["a"])), zones={}, lines={}, error="unplugged").as_dict()
    assert (counted["zones"], counted["lines"], counted["error"]) == ({}, {}, "unplugged")


def test_the_figures_of_several_sources_add_up_and_keep_each() -> None:
    meters = Meter(["a"]), Meter(["a"])
    for _ in range(3):
        meters[0].add(result(time.monotonic(), 20.0, [0]))
    meters[1].add(result(time.monotonic(), 40.0, []))
    total = TotalSummary.of([summary(meter) for meter in meters], 2.0)
    assert (total.frames, total.dropped, total.skipped, total.fps) == (4, 6, 2, 2.0)
    sources = total.as_dict()["sources"]
    assert [source["latency_ms"]["p50"] for source in sources] == [20, 40]


def test_peak_memory_is_this_process_alone() -> None:
    ballast = np.ones(30_000_000)  # 240 MB that a child must not report as its own
    code = "from edgeloop.edge.host.memory import peak_memory_mb; print(peak_memory_mb())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert peak_memory_mb() > ballast.nbytes / 1e6
    assert 10 < float(child.stdout) < 200
