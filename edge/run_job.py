"""A run as `edgeloop run` makes it: sources opened, sinks wired, the loop run, a report at the end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import click

from edgeloop.edge.cli.run_report import raise_failure, report_run
from edgeloop.edge.cli.signals import stopped_by_signals
from edgeloop.edge.frame import Source
from edgeloop.edge.frames.folder import FrameWriter
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.pipeline import run_streams
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.result import Sink
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.sinks import JsonLines, StatusLine, VideoFile, Window
from edgeloop.edge.sinks.uncertain import UncertainFrames
from edgeloop.edge.sources import LivePolicy, open_source, open_source_or_unavailable
from edgeloop.edge.tracking import ZoneCounter, ZoneFile, open_tracker, read_zones
from edgeloop.models.errors import UsageError

__all__ = ["KeepPolicy", "RunJob", "run_job"]


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """Which uncertain frames to keep for labeling.

    Attributes:
        folder: Folder of frames to write, new or with what `edgeloop collect` kept.
        every_s: Save at most one frame per this many seconds: the least certain.
        count: Maximum number of frames to save.
    """

    folder: Path
    every_s: float
    count: int


@dataclass(frozen=True, slots=True)
class RunJob:
    """Options of a run.

    Attributes:
        sources: Text of each source, as `open_source` takes it.
        policy: How to treat late frames and lost connections.
        track: Give objects ids.
        zones: Zone file of each source; empty for no counting.
        as_json: Print one JSON object per frame on stdout.
        video: Annotated video to write; None for none. With several sources a number is added to its name.
        keep: Which uncertain frames to keep; None for none.
        show: Show annotated frames in a window.
        plugins: Sinks of other packages, each NAME or NAME:ARGUMENT (entry point group `edgeloop.sinks`).
        summary: File for the closing figures as JSON; None for none.
        overwrite: Replace files that exist.
        max_frames: End each source after this many frames; None for no limit.
        duration_s: End after this many seconds; None for no limit.
    """

    sources: Sequence[str]
    policy: LivePolicy
    track: bool = False
    zones: Sequence[Path] = ()
    as_json: bool = False
    video: Path | None = None
    keep: KeepPolicy | None = None
    show: bool = False
    plugins: Sequence[str] = ()
    summary: Path | None = None
    overwrite: bool = False
    max_frames: int | None = None
    duration_s: float | None = None


def run_job(job: RunJob, detector: Detector) -> bool:
    """Run a detector on the sources of a job until they end, a limit is reached, or a signal stops it.

    Figures go to stderr, results to the sinks that the job asks for.

    Args:
        job: Sources, sinks and limits.
        detector: The model.

    Returns:
        True if it was interrupted from the keyboard.

    Raises:
        EdgeloopError: A source or sink cannot be opened, or a source failed.
    """
    zone_files = _read_zone_files(job, detector)
    plugins = [_find_plugin(text) for text in job.plugins]
    with ExitStack() as opened:
        streams = [
            _open_stream(detector, opened.enter_context(source), job.track, zone_file)
            for source, zone_file in zip(_open_sources(job), zone_files, strict=True)
        ]
        _check_names(streams)
        stop = partial(_stop, streams)
        signals = opened.enter_context(stopped_by_signals(stop))
        try:
            with ExitStack() as begun:
                shared: list[Sink] = []
                if job.as_json:
                    shared.append(begun.enter_context(JsonLines(sys.stdout, detector.names)))
                keeper = begun.enter_context(_frame_keeper(job.keep, detector))
                for stream, video in zip(streams, _video_paths(job.video, len(streams)), strict=True):
                    own = _open_sinks(job, detector, stream, video, stop)
                    stream.sinks = [begun.enter_context(sink) for sink in own]
                    if keeper is not None:
                        stream.sinks.append(begun.enter_context(keeper(stream.source)))
                    for plugin, argument in plugins:
                        sink = plugin.load()(argument, detector.names, stream.source)
                        stream.sinks.append(begun.enter_context(sink))
                shared.append(begun.enter_context(StatusLine(sys.stderr, streams)))
                _announce(streams, detector)
                run_streams(streams, detector, shared, max_frames=job.max_frames, duration_s=job.duration_s)
        finally:
            if any(stream.meter.frames for stream in streams):
                report_run(streams, job.summary, detector)
    raise_failure(streams)
    return signal.SIGINT in signals


def _open_sources(job: RunJob) -> Iterator[Source]:
    """Open every source; if there are several, one that does not answer fails alone."""
    opened = open_source if len(job.sources) == 1 else open_source_or_unavailable
    yield from (opened(source, job.policy) for source in job.sources)


def _read_zone_files(job: RunJob, detector: Detector) -> Sequence[tuple[Path, ZoneFile] | None]:
    if len(job.zones) not in (0, len(job.sources)):
        raise UsageError(
            f"--zones is given {len(job.zones)} times for {len(job.sources)} sources; "
            "give it once for each, in their order"
        )
    if not job.zones:
        return [None] * len(job.sources)
    return [(path, read_zones(path, detector.names)) for path in job.zones]


def _find_plugin(text: str) -> tuple[EntryPoint, str]:
    name, _, argument = text.partition(":")
    for plugin in entry_points(group="edgeloop.sinks", name=name):
        return plugin, argument
    known = ", ".join(sorted(entry_points(group="edgeloop.sinks").names)) or "none"
    raise UsageError(f"--sink {name}: no installed package provides it; installed sinks: {known}")


def _open_stream(
    detector: Detector, source: Source, track: bool, zone_file: tuple[Path, ZoneFile] | None
) -> Stream:
    stream = Stream(source, Meter(detector.names))
    if track or zone_file:
        stream.tracker = open_tracker(fps=source.fps, confidence=detector.spec.confidence)
    if zone_file:
        path, zones = zone_file
        stream.zones = ZoneCounter(zones, detector.names, str(path))
    return stream


def _check_names(streams: Sequence[Stream]) -> None:
    names = [stream.source.name for stream in streams]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"source {name} is given twice; every result names its source, so give it once")


def _video_paths(video: Path | None, count: int) -> Iterator[Path | None]:
    """Name the video of each source."""
    for number in range(1, count + 1):
        several = video is not None and count > 1
        yield video.with_name(f"{video.stem}-{number}{video.suffix}") if video and several else video


def _open_sinks(
    job: RunJob, detector: Detector, stream: Stream, video: Path | None, stop: Callable[[], None]
) -> Iterator[Sink]:
    """Open the video and the window of one source."""
    source = stream.source
    if video is not None:
        yield VideoFile(
            video,
            detector.names,
            fps=source.fps,
            live=source.live,
            overwrite=job.overwrite,
            zones=stream.zones,
        )
    if job.show:
        title = f"edgeloop: {source.name}"
        yield Window(title, detector.names, on_quit=stop, zones=stream.zones)


@contextmanager
def _frame_keeper(
    keep: KeepPolicy | None, detector: Detector
) -> Iterator[Callable[[Source], UncertainFrames] | None]:
    """Yields:
    A function that opens the sink of a source's uncertain frames; None if none are kept.
    """
    if keep is None:
        yield None
        return
    threshold = detector.spec.confidence
    with FrameWriter(keep.folder, append=True) as writer:
        yield lambda source: UncertainFrames(
            writer, source, threshold=threshold, every_s=keep.every_s, most=keep.count
        )
    click.echo(f"{keep.folder}: {writer.written} frames on which the model was unsure", err=True)


def _stop(streams: Sequence[Stream]) -> None:
    for stream in streams:
        stream.source.stop()


def _announce(streams: Sequence[Stream], detector: Detector) -> None:
    """Say what runs the model, and which sources share it."""
    click.echo(f"{detector.path} on {detector.placement}", err=True)
    if detector.threads.reason:
        click.echo(f"{detector.threads}", err=True)
    if len(streams) == 1:
        return
    click.echo(f"{len(streams)} sources in turn", err=True)
    for number, stream in enumerate(streams, start=1):
        kind = "live" if stream.source.live else "every frame"
        rate = "" if stream.source.fps is None else f", {stream.source.fps:g} fps"
        click.echo(f"  {number}  {stream.source.name}  ({kind}{rate})", err=True)
