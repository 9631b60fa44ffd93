"""How much of the bare model's speed the loop keeps, measured in turns.

The bare model is onnxruntime with its own settings, given one and the same input. Two rates taken one after
the other on a machine that also does other things say little about each other. So the bare model and the loop
take turns of the same number of frames, and the ratio is the median over the turns. First detection and
memory are those of `edgeloop run --json` in a new process, seen from outside.
"""

from __future__ import annotations

import itertools
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.bench.peer import find_peer, run_peer
from edgeloop.edge.bench.time_command import Fresh, watch
from edgeloop.edge.host.opencv import open_writer
from edgeloop.edge.loop import pipeline
from edgeloop.edge.loop.summary import Percentiles, RunSummary
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.session import Session
from edgeloop.edge.source_name import is_footage
from edgeloop.edge.sources import open_source
from edgeloop.models.errors import DataError, UnavailableError, UsageError

__all__ = ["PEER_TURNS", "Against", "BenchReport", "Turn", "bench"]

WARM_UP_FRAMES = 10
PEER_TURNS = 3
_FRAME = re.compile(r'^\{"index": ')


@dataclass(frozen=True)
class Turn:
    """Frames a second of the bare model, and of the loop right after it."""

    model_fps: float
    loop_fps: float


@dataclass(frozen=True)
class Against:
    """Ours and a peer on the same model and footage, each in new processes that took turns.

    Attributes:
        peer: What ours was measured against.
        ours: Medians of our runs.
        theirs: Medians of theirs.
        turns: How many runs of each.
    """

    peer: str
    ours: Fresh
    theirs: Fresh
    turns: int


@dataclass(frozen=True)
class BenchReport:
    """What the bench found.

    Attributes:
        model: Path of the model.
        source: What the loop read, as the user wrote it.
        provider: Execution provider that ran the model.
        provider_share: Part of its nodes that ran there, 0 to 1, the others on the CPU; None where unknown.
        frames: Frames in each half of a turn.
        turns: Every turn.
        parallel: How many frames the loop's model works on at the same time.
        model_fps: Median rate of onnxruntime with its own settings, run on one and the same input.
        loop_fps: Median rate of reading, preparing, running and decoding together.
        ratio: Median over the turns of loop over model.
        latency_ms: From the arrival of a frame to its detections, in the loop.
        stages_ms: Median time of each stage of the loop.
        first_detection_s: From the start of a new process to the first line that it prints.
        peak_memory_mb: Largest resident memory of that process over one turn, in MB (10^6 bytes).
        against: The same beside a peer's, where one was asked for.
    """

    model: str
    source: str
    provider: str
    provider_share: float | None
    frames: int
    turns: Sequence[Turn]
    parallel: int
    model_fps: float
    loop_fps: float
    ratio: float
    latency_ms: Percentiles | None
    stages_ms: Mapping[str, float]
    first_detection_s: float
    peak_memory_mb: float
    against: Against | None


def bench(
    open_detector: Callable[..., Detector],
    source: str,
    *,
    frames: int,
    turns: int,
    against: str | None = None,
    options: Sequence[str] = (),
    on_turn: Callable[[], None] = lambda: None,
) -> BenchReport:
    """Measure a model and the loop around it.

    Args:
        open_detector: Loads the detector, and takes `throughput` as `Detector` does.
        source: What the loop reads, as for `open_source`. A built-in scene that is not live is recorded
            first, because drawing it takes time that no camera takes. A live source paces the loop.
        frames: Frames in each half of a turn.
        turns: Number of turns.
        against: One of `edgeloop.edge.bench.peer.PEERS`, to run the same model and source by.
        options: What `edgeloop run` is to be told of the model, so that it loads the same.
        on_turn: Called after each turn, and after each of the `PEER_TURNS` with a peer.

    Returns:
        The figures.

    Raises:
        EdgeloopError: The model or the source does not work, or there is no such peer here.
    """
    yolo = find_peer() if against else None
    detector = open_detector(throughput=is_footage(source), live=not is_footage(source))
    bare = Session(detector.path, provider=detector.provider, allow_cpu=True, bare=True)
    model_fps: list[float] = []
    loops: list[RunSummary] = []
    with _recorded(source, frames) as footage:
        if yolo and not Path(footage).is_file():
            raise UsageError(f"source {footage}: --against needs a video, so that both see the same frames")
        tensor = detector.preprocess(_first_image(footage)).tensor
        _run_model(bare, tensor, WARM_UP_FRAMES)
        for _ in range(turns):
            model_fps.append(_run_model(bare, tensor, frames))
            loops.append(_run_loop(detector, footage, frames))
            on_turn()
        counted = min(frames, loops[-1].frames)
        compared = _compare(yolo, detector, footage, counted, options, on_turn) if yolo else None
        fresh = compared.ours if compared else _run_ours(detector, footage, counted, options)
    pairs = [Turn(round(model, 2), loop.fps) for model, loop in zip(model_fps, loops, strict=True)]
    typical = sorted(loops, key=lambda loop: loop.fps)[len(loops) // 2]
    return BenchReport(
        model=str(detector.path),
        source=source,
        provider=detector.provider,
        provider_share=detector.placement.share,
        frames=frames,
        turns=pairs,
        parallel=detector.parallel,
        model_fps=statistics.median(turn.model_fps for turn in pairs),
        loop_fps=statistics.median(turn.loop_fps for turn in pairs),
        ratio=round(statistics.median(turn.loop_fps / turn.model_fps for turn in pairs), 3),
        latency_ms=typical.latency_ms,
        stages_ms=typical.stages_ms,
        first_detection_s=fresh.first_detection_s,
        peak_memory_mb=fresh.peak_memory_mb,
        against=compared,
    )


@contextmanager
def _recorded(source: str, frames: int) -> Iterator[str]:
    """The source itself, or a recording of a scene that would have to be drawn."""
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
    raise DataError(f"source {footage}: holds no frame")


def _run_model(bare: Session, tensor: NDArray[np.generic], frames: int) -> float:
    """Frames a second of the session alone."""
    started_at = time.monotonic()
    for _ in range(frames):
        bare.run(tensor)
    return frames / (time.monotonic() - started_at)


def _run_loop(detector: Detector, footage: str, frames: int) -> RunSummary:
    return pipeline.run(footage, detector, max_frames=frames)


def _compare(
    yolo: Path,
    detector: Detector,
    footage: str,
    frames: int,
    options: Sequence[str],
    on_turn: Callable[[], None],
) -> Against:
    ours: list[Fresh] = []
    theirs: list[Fresh] = []
    for _ in range(PEER_TURNS):
        ours.append(_run_ours(detector, footage, frames, options))
        theirs.append(
            run_peer(
                yolo,
                detector.path,
                Path(footage),
                frames=frames,
                provider=detector.provider,
                confidence=detector.spec.confidence,
            )
        )
        on_turn()
    return Against("ultralytics", _medians(ours), _medians(theirs), PEER_TURNS)


def _medians(runs: Sequence[Fresh]) -> Fresh:
    return Fresh(*(statistics.median(values) for values in zip(*map(astuple, runs), strict=True)))


def _run_ours(detector: Detector, footage: str, frames: int, options: Sequence[str]) -> Fresh:
    """The loop as a user would start it, its results on stdout."""
    run = [sys.executable, "-P", "-m", "edgeloop", "run", str(detector.path), footage, "--json", *options]
    return watch("edgeloop run", run, frame=_FRAME, frames=frames)
