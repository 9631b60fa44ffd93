"""Benchmark of the detection loop against the bare model, in alternating turns.

The bare model is its engine with the default settings on one fixed input, in the same precision, on as many
CPU threads as the loop has for all its images at a time. On a
machine that does other work too, two rates that are measured one after the other are not comparable. So the
bare model and the loop take turns of equally many frames, and the ratio is the median over the turns. First
detection and memory are those of `edgeloop run --json` in a subprocess.
"""

from __future__ import annotations

import itertools
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.bench.time_command import ProcessTiming, time_command
from edgeloop.edge.engines.engine_protocol import Engine
from edgeloop.edge.engines.open_engine import open_engine
from edgeloop.edge.host.opencv import open_writer
from edgeloop.edge.loop import pipeline
from edgeloop.edge.loop.summary import Percentiles, RunSummary
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.measured_choice import clear_choices
from edgeloop.edge.source_name import STDIN, is_footage, shown_name
from edgeloop.edge.sources import open_source
from edgeloop.models.errors import DataError, UnavailableError, UsageError

__all__ = ["BenchReport", "Turn", "bench", "time_run"]

WARM_UP_FRAMES = 10
_FRAME = re.compile(r'^\{"index": ')


@dataclass(frozen=True)
class Turn:
    """Frames per second of the bare model, and of the loop right after it."""

    model_fps: float
    loop_fps: float


@dataclass(frozen=True)
class BenchReport:
    """Figures of a benchmark.

    Attributes:
        model: Path of the model.
        source: Source of the loop, as `shown_name` makes it.
        engine: Name of the engine that ran the model.
        provider: Execution provider that ran the model, or of another engine its device.
        provider_share: Share of its nodes that ran there, 0 to 1, the others on the CPU; None if unknown.
        frames: Frames in each half of a turn.
        turns: Rates of each turn.
        parallel: Number of frames in the model at a time, in the loop.
        threads: CPU threads of the bare model, and of the loop for all frames at a time.
        model_fps: Median rate of the engine with its default settings on one fixed input.
        loop_fps: Median rate of reading, preparing, running and decoding together.
        ratio: Median over the turns of loop over model.
        latency_ms: From the arrival of a frame to its detections, in the loop.
        stages_ms: Median time of each stage of the loop.
        first_detection_s: Seconds from the start of a subprocess to its first line of output.
        peak_memory_mb: Largest resident memory of that process over one turn, in MB (10^6 bytes).
    """

    model: str
    source: str
    engine: str
    provider: str
    provider_share: float | None
    frames: int
    turns: Sequence[Turn]
    parallel: int
    threads: int
    model_fps: float
    loop_fps: float
    ratio: float
    latency_ms: Percentiles | None
    stages_ms: Mapping[str, float]
    first_detection_s: float
    peak_memory_mb: float


def bench(
    model: Path,
    source: str,
    *,
    frames: int,
    turns: int,
    options: Sequence[str] = (),
    on_turn: Callable[[], None] = lambda: None,
    **settings: Any,
) -> BenchReport:
    """Measure a model and the loop around it.

    Args:
        model: Model file of any engine.
        source: Source of the loop, as for `open_source`. A built-in scene that is not live is recorded
            first, because rendering takes time that no camera takes. A live source sets the pace of the
            loop. Engine and threads are measured anew.
        frames: Frames in each half of a turn.
        turns: Number of turns.
        options: The same settings as command-line options of `edgeloop run`.
        on_turn: Called after each turn.
        settings: Further keyword arguments of `Detector`.

    Returns:
        The figures.

    Raises:
        EdgeloopError: The model or the source does not work.
    """
    if STDIN.fullmatch(source):
        raise UsageError("source -: bench reads its source several times; name a file")
    footage = is_footage(source)
    clear_choices(model)
    detector = Detector(model, throughput=footage, live=not footage, **settings)
    bare = _open_bare(detector)
    model_fps: list[float] = []
    loops: list[RunSummary] = []
    with _recorded(source, frames) as played:
        tensor = detector.preprocess(_first_image(played)).tensor
        _run_model(bare, tensor, WARM_UP_FRAMES)
        for _ in range(turns):
            model_fps.append(_run_model(bare, tensor, frames))
            loops.append(pipeline.run(played, detector, max_frames=frames))
            on_turn()
        process = time_run(detector.path, played, min(frames, loops[-1].frames), options)
    pairs = [Turn(round(rate, 2), loop.fps) for rate, loop in zip(model_fps, loops, strict=True)]
    typical = sorted(loops, key=lambda loop: loop.fps)[len(loops) // 2]
    return BenchReport(
        model=str(detector.path),
        source=shown_name(source),
        engine=detector.placement.engine,
        provider=detector.provider,
        provider_share=detector.placement.share,
        frames=frames,
        turns=pairs,
        parallel=detector.parallel,
        threads=_threads(detector),
        model_fps=statistics.median(turn.model_fps for turn in pairs),
        loop_fps=statistics.median(turn.loop_fps for turn in pairs),
        ratio=round(statistics.median(turn.loop_fps / turn.model_fps for turn in pairs), 3),
        latency_ms=typical.latency_ms,
        stages_ms=typical.stages_ms,
        first_detection_s=process.first_detection_s,
        peak_memory_mb=process.peak_memory_mb,
    )


def time_run(model: Path, footage: str, frames: int, options: Sequence[str] = ()) -> ProcessTiming:
    """Time `edgeloop run --json` with further options in a subprocess, as `time_command` does."""
    run = [sys.executable, "-P", "-m", "edgeloop", "run", str(model), footage, "--json", *options]
    return time_command("edgeloop run", run, frame=_FRAME, frames=frames)


@contextmanager
def _recorded(source: str, frames: int) -> Iterator[str]:
    """Yield the source itself, or a recording of a scene that would have to be rendered."""
    with ExitStack() as stack:
        scene = stack.enter_context(open_source(source))
        if scene.live or not source.startswith("synth:"):
            stack.close()
            yield source
            return
        path = Path(stack.enter_context(TemporaryDirectory()), "scene.mp4")
        writer: cv2.VideoWriter | None = None
        for frame in itertools.islice(scene, frames):
            height, width = frame.image.shape[:2]
            writer = writer or open_writer(path, fps=30, size=(width, height))
            if writer is None:
                raise UnavailableError(f"source {source}: this OpenCV cannot record it; name a video instead")
            writer.write(frame.image)
        if writer is not None:
            writer.release()
        yield str(path)


def _first_image(footage: str) -> NDArray[np.uint8]:
    with open_source(footage) as source:
        for frame in source:
            return frame.image
        raise DataError(f"source {source.name}: holds no frame")


def _open_bare(detector: Detector) -> Engine:
    """Open the model again, with its engine's default settings, on as many threads as the loop has."""
    return open_engine(
        detector.path, provider=detector.provider, allow_cpu=True, threads=_threads(detector), bare=True
    )


def _threads(detector: Detector) -> int:
    """CPU threads of all images at a time."""
    return detector.threads.count * detector.parallel


def _run_model(bare: Engine, tensor: NDArray[np.generic], frames: int) -> float:
    """Measure the frames per second of the model alone."""
    started_at = time.monotonic()
    for _ in range(frames):
        bare.run(tensor)
    return frames / (time.monotonic() - started_at)
