"""`edgeloop run`: the loop on the device."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The loop multiplies no matrices, and the threads that numpy's BLAS starts for that spin at first, on cores
# that the start needs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click

from edgeloop.edge.cli.float_range import FiniteRange
from edgeloop.edge.cli.options import model_options
from edgeloop.edge.cli.signals import stopped_by_signals, uncollected
from edgeloop.models.errors import UsageError

if TYPE_CHECKING:
    from edgeloop.edge.loop.stream import Camera
    from edgeloop.edge.runtime.detector import Detector
    from edgeloop.edge.sinks import Sink
    from edgeloop.edge.sources import LivePolicy, Source
    from edgeloop.edge.tracking import ZoneFile

__all__ = ["run"]

INTERRUPTED = 130


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--track", is_flag=True, help="Give objects ids that stay; needs edgeloop[track].")
@click.option(
    "--zones",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Count in zones and over lines of a JSON file; tracks. Once for each SOURCE, in their order.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a frame on stdout.")
@click.option(
    "--video",
    type=click.Path(path_type=Path),
    help="Write an annotated video, .mp4 or .avi; of several sources x-1.mp4, x-2.mp4 ...",
)
@click.option(
    "--unsure",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FRAMES",
    help="Keep frames on which the model was unsure, for `edgeloop label`: in a new folder, or with what "
    "`edgeloop collect` kept.",
)
@click.option(
    "--unsure-every",
    type=FiniteRange(0),
    default=10.0,
    show_default=True,
    metavar="S",
    help="Of so many seconds the frame in most doubt.",
)
@click.option(
    "--unsure-count",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    metavar="N",
    help="At most so many.",
)
@click.option("--show", is_flag=True, help="Show annotated frames in a window; q ends.")
@click.option("--summary", type=click.Path(path_type=Path), help="Write the closing figures as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option(
    "--max-age",
    type=FiniteRange(0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="S",
    help="Drop a live frame that has waited longer.",
)
@click.option(
    "--reconnect",
    type=FiniteRange(0),
    default=0.0,
    metavar="S",
    help="Seconds for which to open a camera or stream again that broke off.  [default: 0]",
)
@click.option("--max-frames", type=click.IntRange(1), metavar="N", help="End each SOURCE after N frames.")
@click.option("--duration", type=FiniteRange(0, min_open=True), metavar="S", help="End after S seconds.")
@model_options
def run(
    model: Path,
    sources: tuple[str, ...],
    track: bool,
    zones: tuple[Path, ...],
    as_json: bool,
    video: Path | None,
    unsure: Path | None,
    unsure_every: float,
    unsure_count: int,
    show: bool,
    summary: Path | None,
    overwrite: bool,
    max_age: float,
    reconnect: float,
    max_frames: int | None,
    duration: float | None,
    **model_settings: Any,
) -> None:
    """Run a detector on cameras, streams, videos or folders.

    MODEL is an ONNX file. SOURCE is a camera (0), a video or image file, a folder or glob of images, an
    rtsp:// or http:// address, or synth:NAME?fps=30. Live sources drop frames rather than fall behind, and
    every drop is counted; of anything else every frame counts, and the model works on several at a time.
    Ctrl-C ends the run and completes the video.

    Several sources share the model in turn; one that fails or ends leaves the others running.

    Zones and lines are in pixels of the source, and objects are where their boxes stand (bottom centre):

    \b
    {"zones": [{"name": "yard", "polygon": [[10, 20], [300, 20], [300, 200]],
                "classes": ["car"], "dwell_s": 30}],
     "lines": [{"name": "gate", "from": [0, 180], "to": [320, 180]}]}

    classes and dwell_s (report who stays that long) may be left out. Whoever walks from one end of a line to
    the other has "in" on the right hand.
    """
    with uncollected():
        from edgeloop.edge.cli.run_report import check_summary, conclude, raise_failure
        from edgeloop.edge.runtime.detector import Detector
        from edgeloop.edge.sources.kind import is_footage

        check_summary(summary, overwrite)
        footage = all(map(is_footage, sources))
        detector = Detector(model, throughput=footage, live=not footage, **model_settings)

        from edgeloop.edge.loop import pipeline
        from edgeloop.edge.sinks import JsonLines, StatusLine
        from edgeloop.edge.sources import LivePolicy

    places = _places(zones, sources, detector)
    with ExitStack() as opened:
        cameras = [
            _camera(detector, opened.enter_context(source), track, place)
            for source, place in zip(_open(sources, LivePolicy(max_age, reconnect)), places, strict=True)
        ]
        _check_names(cameras)
        stop = partial(_stop, cameras)
        signals = opened.enter_context(stopped_by_signals(stop))
        try:
            with ExitStack() as begun:
                shared: list[Sink] = []
                keep: Callable[[Source], Sink] | None = None
                if as_json:
                    shared.append(begun.enter_context(JsonLines(sys.stdout, detector.names)))
                if unsure is not None:
                    threshold = detector.spec.confidence
                    keeper = _keeper(unsure, threshold=threshold, every_s=unsure_every, most=unsure_count)
                    keep = begun.enter_context(keeper)
                for camera, target in zip(cameras, _targets(video, len(cameras)), strict=True):
                    own = _sinks(detector, camera, target, show, overwrite, stop, keep)
                    camera.sinks = [begun.enter_context(sink) for sink in own]
                shared.append(begun.enter_context(StatusLine(sys.stderr, cameras)))
                _announce(cameras, detector)
                pipeline.run_all(cameras, detector, shared, max_frames=max_frames, duration_s=duration)
        finally:
            if any(camera.meter.frames for camera in cameras):
                conclude(cameras, summary, detector)
    raise_failure(cameras)
    if signal.SIGINT in signals:
        click.get_current_context().exit(INTERRUPTED)


def _open(sources: Sequence[str], policy: LivePolicy) -> Iterator[Source]:
    """Every source; where there are others, one that does not answer is left to fail alone."""
    from edgeloop.edge.sources import open_source, open_source_or_absent

    opened = open_source if len(sources) == 1 else open_source_or_absent
    yield from (opened(source, policy) for source in sources)


def _places(
    paths: Sequence[Path], sources: Sequence[str], detector: Detector
) -> Sequence[tuple[Path, ZoneFile] | None]:
    """Where to count in each source."""
    if len(paths) not in (0, len(sources)):
        raise UsageError(
            f"--zones is given {len(paths)} times for {len(sources)} sources; "
            "give it once for each, in their order"
        )
    if not paths:
        return [None] * len(sources)
    from edgeloop.edge.tracking import read_zones

    return [(path, read_zones(path, detector.names)) for path in paths]


def _camera(detector: Detector, source: Source, track: bool, place: tuple[Path, ZoneFile] | None) -> Camera:
    from edgeloop.edge.loop.meter import Meter
    from edgeloop.edge.loop.stream import Camera
    from edgeloop.edge.tracking.tracker import Tracker

    camera = Camera(source, Meter(detector.names))
    if track or place:
        camera.tracker = Tracker(fps=source.fps, confidence=detector.spec.confidence)
    if place:
        from edgeloop.edge.tracking import ZoneCounter

        path, zones = place
        camera.zones = ZoneCounter(zones, detector.names, str(path))
    return camera


def _check_names(cameras: Sequence[Camera]) -> None:
    names = [camera.source.name for camera in cameras]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"source {name} is given twice; every result names its source, so give it once")


def _targets(video: Path | None, count: int) -> Iterator[Path | None]:
    """The video of each source."""
    for number in range(1, count + 1):
        several = video is not None and count > 1
        yield video.with_name(f"{video.stem}-{number}{video.suffix}") if video and several else video


def _sinks(
    detector: Detector,
    camera: Camera,
    video: Path | None,
    show: bool,
    overwrite: bool,
    stop: Callable[[], None],
    keep: Callable[[Source], Sink] | None,
) -> Iterator[Sink]:
    """What the command line asks for, for one source."""
    from edgeloop.edge import sinks

    source = camera.source
    if video is not None:
        yield sinks.VideoFile(
            video,
            detector.names,
            fps=source.fps,
            live=source.live,
            overwrite=overwrite,
            zones=camera.zones,
        )
    if show:
        title = f"edgeloop: {source.name}"
        yield sinks.Window(title, detector.names, on_quit=stop, zones=camera.zones)
    if keep is not None:
        yield keep(source)


@contextmanager
def _keeper(folder: Path, **settings: Any) -> Iterator[Callable[[Source], Sink]]:
    """Yields:
    What keeps the unsure frames of a source in `folder`, with the settings of `UnsureFrames`.
    """
    from edgeloop.edge.frames.folder import FrameWriter
    from edgeloop.edge.sinks.uncertain import UnsureFrames

    with FrameWriter(folder, append=True) as writer:
        yield partial(UnsureFrames, writer, **settings)
    click.echo(f"{folder}: {writer.written} frames on which the model was unsure", err=True)


def _stop(cameras: Sequence[Camera]) -> None:
    for camera in cameras:
        camera.source.stop()


def _announce(cameras: Sequence[Camera], detector: Detector) -> None:
    """Say what runs the model, and what shares it where more than one source does."""
    click.echo(f"{detector.path} on {detector.placement}", err=True)
    if detector.threads.why:
        click.echo(f"{detector.threads}", err=True)
    if len(cameras) == 1:
        return
    click.echo(f"{len(cameras)} sources in turn", err=True)
    for number, camera in enumerate(cameras, start=1):
        kind = "live" if camera.source.live else "every frame"
        rate = "" if camera.source.fps is None else f", {camera.source.fps:g} fps"
        click.echo(f"  {number}  {camera.source.name}  ({kind}{rate})", err=True)
