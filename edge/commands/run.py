"""`edgeloop run`: the loop on the device."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from edge.commands.options import model_options
from models.errors import DataError, NoInputError

if TYPE_CHECKING:
    from edge.detector import Detector
    from edge.metrics import Meter, RunSummary
    from edge.sinks import Sink
    from edge.sources import Source

__all__ = ["run"]

INTERRUPTED = 130


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("source")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a frame on stdout.")
@click.option("--video", type=click.Path(path_type=Path), help="Write an annotated video, .mp4 or .avi.")
@click.option("--show", is_flag=True, help="Show annotated frames in a window; q ends.")
@click.option("--summary", type=click.Path(path_type=Path), help="Write the closing figures as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--max-frames", type=click.IntRange(1), metavar="N", help="End after N frames.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="S", help="End after S seconds.")
@model_options
def run(
    model: Path,
    source: str,
    as_json: bool,
    video: Path | None,
    show: bool,
    summary: Path | None,
    overwrite: bool,
    max_frames: int | None,
    duration: float | None,
    **model_settings: Any,
) -> None:
    """Run a detector on a camera, stream, video or folder.

    MODEL is an ONNX file. SOURCE is a camera (0), a video or image file, a folder or glob of images, an
    rtsp:// or http:// address, or synth:NAME?fps=30. Live sources drop frames rather than fall behind, and
    every drop is counted; of anything else every frame counts. Ctrl-C ends the run and completes the video.
    """
    from edge import pipeline
    from edge.detector import Detector
    from edge.metrics import Meter
    from edge.sources import open_source

    _check_summary(summary, overwrite)
    detector = Detector(model, **model_settings)
    meter = Meter(detector.names)
    with open_source(source) as frames, _stopped_by_signals(frames.stop) as signals:
        try:
            with ExitStack() as stack:
                sinks = [
                    stack.enter_context(sink)
                    for sink in _sinks(detector, frames, meter, as_json, video, show, overwrite)
                ]
                click.echo(f"{model} on {detector.placement}", err=True)
                pipeline.run(frames, detector, sinks, meter, max_frames=max_frames, duration_s=duration)
        finally:
            if meter.frames:
                _conclude(_summary(detector, frames, meter), summary)
    if signal.SIGINT in signals:
        click.get_current_context().exit(INTERRUPTED)


def _sinks(
    detector: Detector,
    source: Source,
    meter: Meter,
    as_json: bool,
    video: Path | None,
    show: bool,
    overwrite: bool,
) -> Iterator[Sink]:
    """What the command line asks for, the status line last."""
    from edge import sinks

    if as_json:
        yield sinks.JsonLines(sys.stdout, detector.names)
    if video is not None:
        yield sinks.VideoFile(video, detector.names, fps=source.fps, live=source.live, overwrite=overwrite)
    if show:
        yield sinks.Window(f"edgeloop: {source.name}", detector.names, on_quit=source.stop)
    yield sinks.StatusLine(sys.stderr, meter, source)


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Let SIGINT and SIGTERM end the run in good order; a second one ends it at once.

    Yields:
        The signals that came so far.
    """
    came: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_summary(path: Path | None, overwrite: bool) -> None:
    if path is None:
        return
    if path.exists() and not overwrite:
        raise DataError(f"summary {path}: the file exists; name another one or give --overwrite")
    if not path.parent.is_dir():
        raise NoInputError(f"summary {path}: no such folder {path.parent}")


def _summary(detector: Detector, source: Source, meter: Meter) -> RunSummary:
    return meter.summary(
        model=str(detector.path),
        source=source.name,
        provider=detector.provider,
        provider_share=detector.placement.share,
        dropped=source.dropped,
        skipped=source.skipped,
    )


def _conclude(figures: RunSummary, path: Path | None) -> None:
    """Say how the run went on stderr, and write the same figures for programs."""
    if path is not None:
        path.write_text(json.dumps(asdict(figures), indent=2) + "\n")
    for line in _lines(figures):
        click.echo(line, err=True)


def _lines(figures: RunSummary) -> Iterator[str]:
    plural = "" if figures.frames == 1 else "s"
    rate = f"{figures.frames} frame{plural} in {figures.seconds:.1f} s, {figures.fps:.1f} fps"
    yield f"{rate}  ({figures.source} on {figures.provider})"
    if figures.latency_ms:
        p = figures.latency_ms
        yield f"  latency   p50 {p.p50:.1f}  p95 {p.p95:.1f}  p99 {p.p99:.1f} ms from capture to result"
    yield (
        "  stages    "
        + "  ".join(f"{stage} {spent:.1f}" for stage, spent in figures.stages_ms.items())
        + " ms"
    )
    yield f"  lost      {figures.dropped} dropped, {figures.skipped} unreadable"
    found = ", ".join(f"{count} {name}" for name, count in figures.detections.items())
    yield f"  found     {found or 'nothing'}"
    yield f"  memory    {figures.peak_memory_mb:.0f} MB at most"
