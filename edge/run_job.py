"""A run as `edgeloop run` makes it: sources opened, sinks wired, the loop run, a report at the end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import click

from edgeloop.edge.cli.run_report import raise_failure, report_run
from edgeloop.edge.cli.signals import stopped_by_signals
from edgeloop.edge.drift.drift_sink import DriftSink
from edgeloop.edge.engines.open_engine import model_digest
from edgeloop.edge.frame import Source
from edgeloop.edge.frames.folder import FrameWriter
from edgeloop.edge.loop.open_stream import open_stream
from edgeloop.edge.loop.pipeline import run_streams
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.plugins import call_plugin, load_plugin
from edgeloop.edge.result import Sink
from edgeloop.edge.ring.ring_budget import RingBudget
from edgeloop.edge.ring.ring_entry import RingModel
from edgeloop.edge.ring.ring_sink import RingSink
from edgeloop.edge.ring.ring_writer import RingWriter
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.frame_detector import FrameDetector
from edgeloop.edge.sinks import JsonLines, StatusLine, UncertainFrames, VideoFile, Window
from edgeloop.edge.source_name import shown_name
from edgeloop.edge.sources import LivePolicy, open_source, open_source_or_unavailable
from edgeloop.edge.tracking import IgnoreMask, ZoneCounter, read_zones
from edgeloop.models.errors import UsageError

__all__ = ["KeepPolicy", "LivePolicy", "RingPolicy", "RunJob", "run_job"]


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """Rule for keeping uncertain frames for labeling.

    Attributes:
        folder: Folder of frames to write, new or with what `edgeloop collect` kept.
        every_s: Save at most one frame per this many seconds: the least certain.
        count: Maximum number of frames to save.
    """

    folder: Path
    every_s: float
    count: int


@dataclass(frozen=True, slots=True)
class RingPolicy:
    """Ring of frames to keep.

    Attributes:
        folder: Folder of the ring, new or of an earlier run.
        megabytes: Maximum size in MB (10^6 bytes).
        days: Frames are removed after this many days.
    """

    folder: Path
    megabytes: float
    days: float


@dataclass(frozen=True, slots=True)
class RunJob:
    """Options of a run.

    Attributes:
        sources: Text of each source, as `open_source` takes it.
        policy: How to treat late frames and lost connections.
        track: Give objects ids.
        zones: Zone file of each source; empty for no counting.
        ignore: Ignore mask of each source; empty for none.
        skip_unchanged: Do not detect again in frames in which nothing changed.
        as_json: Print one JSON object per frame on stdout.
        video: Annotated video to write; None for none. With several sources a number is added to its name.
        keep: Which uncertain frames to keep; None for none.
        ring: Ring of frames to keep; None for none.
        show: Show annotated frames in a window.
        plugins: Sinks of other packages, each NAME or NAME:ARGUMENT; `Sink` says how to write one.
        summary: File for the closing figures as JSON; None for none.
        overwrite: Replace files that exist.
        max_frames: End each source after this many frames; None for no limit.
        duration_s: End after this many seconds; None for no limit.
    """

    sources: Sequence[str]
    policy: LivePolicy
    track: bool = False
    zones: Sequence[Path] = ()
    ignore: Sequence[Path] = ()
    skip_unchanged: bool = False
    as_json: bool = False
    video: Path | None = None
    keep: KeepPolicy | None = None
    ring: RingPolicy | None = None
    show: bool = False
    plugins: Sequence[str] = ()
    summary: Path | None = None
    overwrite: bool = False
    max_frames: int | None = None
    duration_s: float | None = None


def run_job(
    job: RunJob,
    detector: FrameDetector,
    attach: Callable[[Stream], None] = lambda _: None,
    on_stop: Callable[[], None] = lambda: None,
) -> bool:
    """Run a detector on the sources of a job until they end, a limit is reached, or a signal stops it.

    Figures go to stderr, results to the sinks that the job asks for.

    Args:
        job: Sources, sinks and limits.
        detector: The model.
        attach: Called with each stream before its first frame, to add sinks of the caller.
        on_stop: Called in the handler of a signal that stops the run; it must take no lock.

    Returns:
        True if it was interrupted from the keyboard.

    Raises:
        EdgeloopError: A source or sink cannot be opened, or a stream failed.
    """
    zones, masks = _read_zones(job, detector), _read_masks(job, detector)
    plugins = [_load_sink(text) for text in job.plugins]
    open_each = open_source if len(job.sources) == 1 else open_source_or_unavailable
    with ExitStack() as opened:
        sources = [opened.enter_context(open_each(text, job.policy)) for text in job.sources]
        _tell_apart(job.sources, sources)
        streams = [
            open_stream(
                source,
                detector,
                track=job.track,
                zones=counter,
                ignore=mask,
                skip_unchanged=job.skip_unchanged,
            )
            for source, counter, mask in zip(sources, zones, masks, strict=True)
        ]
        stop = partial(_stop, sources, on_stop)
        signals = opened.enter_context(stopped_by_signals(stop))
        try:
            with ExitStack() as begun:
                writer = None
                if job.keep is not None:
                    writer = begun.enter_context(FrameWriter(job.keep.folder, append=True))
                ring = None if job.ring is None else _open_ring(job.ring, streams, detector, begun)
                for stream, video in zip(streams, _video_paths(job.video, len(streams)), strict=True):
                    begun.callback(stream.end)
                    _open_sinks(stream, detector, job, video=video, writer=writer, on_quit=stop)
                    for open_sink in plugins:
                        stream.sinks.append(open_sink(detector.names, stream.source))
                    attach(stream)
                status = StatusLine(sys.stderr, streams)
                begun.callback(status.close)
                shared = [JsonLines(sys.stdout, detector.names), status] if job.as_json else [status]
                _announce(streams, detector)
                run_streams(streams, detector, shared, max_frames=job.max_frames, duration_s=job.duration_s)
            if writer is not None:
                click.echo(
                    f"{writer.folder}: {writer.written} frames on which the model was unsure", err=True
                )
            if ring is not None:
                _tell_ring(ring)
        finally:
            if any(stream.meter.frames for stream in streams):
                report_run(streams, job.summary, detector)
    raise_failure(streams)
    return signal.SIGINT in signals


def _read_zones(job: RunJob, detector: FrameDetector) -> Sequence[ZoneCounter | None]:
    names = detector.names
    paths = _one_each("--zones", job.zones, job.sources)
    return [
        None if path is None else ZoneCounter(read_zones(path, names), names, str(path)) for path in paths
    ]


def _read_masks(job: RunJob, detector: FrameDetector) -> Sequence[IgnoreMask | None]:
    paths = _one_each("--ignore", job.ignore, job.sources)
    return [None if path is None else IgnoreMask(path, detector.names) for path in paths]


def _one_each(option: str, paths: Sequence[Path], sources: Sequence[str]) -> Sequence[Path | None]:
    """Pair the files of an option with the sources: one each, or none at all."""
    if len(paths) not in (0, len(sources)):
        raise UsageError(
            f"{option} is given {len(paths)} times for {len(sources)} sources; "
            "give it once for each, in their order"
        )
    return paths or [None] * len(sources)


def _load_sink(text: str) -> Callable[[Sequence[str], Source], Sink]:
    name, _, argument = text.partition(":")
    factory = load_plugin("edgeloop.sinks", name)
    if factory is None:
        known = ", ".join(sorted(entry_points(group="edgeloop.sinks").names)) or "none"
        raise UsageError(f"--sink {name}: no installed package provides it; installed sinks: {known}")
    return partial(call_plugin, name, factory, argument)


def _tell_apart(texts: Sequence[str], sources: Sequence[Source]) -> None:
    """Number the sources that differ only in what their names hide, and refuse one that is given twice."""
    taken: dict[str, set[str]] = {}
    for text, source in zip(texts, sources, strict=True):
        name, others = source.name, taken.setdefault(source.name, set())
        if others and (shown_name(text) == text or text in others):
            raise UsageError(f"source {name} is given twice; every result names its source, so give it once")
        others.add(text)
        if len(others) > 1:
            source.name = f"{name} ({len(others)})"


def _video_paths(video: Path | None, count: int) -> Iterator[Path | None]:
    """Name the video of each source."""
    for number in range(1, count + 1):
        several = video is not None and count > 1
        yield video.with_name(f"{video.stem}-{number}{video.suffix}") if video and several else video


def _open_sinks(
    stream: Stream,
    detector: FrameDetector,
    job: RunJob,
    *,
    video: Path | None,
    writer: FrameWriter | None,
    on_quit: Callable[[], None],
) -> None:
    """Open the built-in sinks of one stream."""
    source, names, zones = stream.source, detector.names, stream.zones
    frames = detector.frames if isinstance(detector, Detector) else None
    if frames is not None:
        stream.sinks.append(DriftSink(stream, lambda: frames))
    if video is not None:
        stream.sinks.append(
            VideoFile(video, names, fps=source.fps, live=source.live, overwrite=job.overwrite, zones=zones)
        )
    if job.show:
        stream.sinks.append(Window(f"edgeloop: {source.name}", names, on_quit=on_quit, zones=zones))
    if job.keep is not None and writer is not None:
        policy, threshold = job.keep, detector.spec.lowest_confidence
        stream.sinks.append(
            UncertainFrames(
                writer, source, threshold=threshold, every_s=policy.every_s, max_frames=policy.count
            )
        )


def _open_ring(
    policy: RingPolicy, streams: Sequence[Stream], detector: FrameDetector, begun: ExitStack
) -> RingWriter:
    """Open the ring, which is closed after its sinks, one for each stream."""
    writer = RingWriter(policy.folder, RingBudget(policy.megabytes, policy.days))
    begun.callback(writer.close)
    threshold = detector.spec.lowest_confidence
    model = RingModel(model_digest(detector.path), tuple(detector.names), threshold)
    for stream in streams:
        stream.sinks.append(RingSink(writer, stream.source, lambda: threshold, lambda: model))
    return writer


def _tell_ring(ring: RingWriter) -> None:
    found = ring.figures
    click.echo(
        f"{ring.folder}: kept {found.random_saved} frames at random and {found.ranked_saved} in doubt, "
        f"{found.dropped} dropped; it holds {found.entries} frames, {found.bytes / 1e6:.1f} MB",
        err=True,
    )


def _stop(sources: Sequence[Source], on_stop: Callable[[], None]) -> None:
    on_stop()
    for source in sources:
        source.stop()


def _announce(streams: Sequence[Stream], detector: FrameDetector) -> None:
    """Say what runs the model, and which sources share it."""
    placement = str(detector.placement)
    how = "with" if placement.startswith(f"{detector.placement.engine} on ") else "on"
    what = f"loop {detector.path}" if detector.path.is_dir() else detector.path
    click.echo(f"{what} runs {how} {placement}", err=True)
    if detector.threads.reason:
        click.echo(f"{detector.threads}", err=True)
    if len(streams) == 1:
        return
    click.echo(f"{len(streams)} sources in turn", err=True)
    for number, stream in enumerate(streams, start=1):
        kind = "live" if stream.source.live else "every frame"
        rate = "" if stream.source.fps is None else f", {stream.source.fps:g} fps"
        click.echo(f"  {number}  {stream.source.name}  ({kind}{rate})", err=True)
