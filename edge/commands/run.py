"""`edgeloop run`: run a detector on cameras, streams, videos or folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgeloop.edge.cli.aliased_option import AliasedOption
from edgeloop.edge.cli.float_range import FloatRange
from edgeloop.edge.cli.options import model_options
from edgeloop.edge.cli.signals import gc_paused
from edgeloop.edge.host.outputs import check_output_path
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.source_name import is_footage

__all__ = ["run"]

INTERRUPTED = 130


@click.command(context_settings={"show_default": True})
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--track", is_flag=True, help="Give each object an id that it keeps; needs edgeloop[track].")
@click.option(
    "--zones",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Count objects in the zones and lines of a JSON file; implies --track. Once per SOURCE, in order.",
)
@click.option(
    "--ignore",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Drop objects of which more than half is in the white of a picture, or in the zones of a JSON file. "
    "Once per SOURCE, in order.",
)
@click.option(
    "--skip-unchanged",
    is_flag=True,
    help="For fixed cameras: do not detect again in frames in which nothing changed, but at least every 2 "
    "seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per frame on stdout.")
@click.option(
    "--video",
    type=click.Path(path_type=Path),
    help="Write an annotated video, .mp4 or .avi; of several sources NAME-1.mp4, NAME-2.mp4 ...",
)
@click.option(
    "--keep-uncertain",
    cls=AliasedOption,
    aliases=["--unsure"],
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FRAMES",
    help="Save uncertain frames for `edgeloop label`, in a new folder or one that `edgeloop collect` wrote.",
)
@click.option(
    "--keep-every",
    cls=AliasedOption,
    aliases=["--unsure-every"],
    type=FloatRange(0),
    default=10.0,
    metavar="S",
    help="Save at most one frame per S seconds: the least certain.",
)
@click.option(
    "--keep-count",
    cls=AliasedOption,
    aliases=["--unsure-count"],
    type=click.IntRange(1),
    default=500,
    metavar="N",
    help="Save at most N frames.",
)
@click.option(
    "--ring",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Keep a ring of frames within a budget: a quarter at random, the rest by doubt.",
)
@click.option(
    "--ring-mb", type=FloatRange(10), default=500.0, metavar="MB", help="Maximum size of the ring in MB."
)
@click.option(
    "--ring-days",
    type=FloatRange(0, min_open=True),
    default=30.0,
    metavar="DAYS",
    help="Remove frames from the ring after DAYS.",
)
@click.option("--show", is_flag=True, help="Show annotated frames in a window; q ends the run.")
@click.option(
    "--sink",
    multiple=True,
    metavar="NAME[:ARGUMENT]",
    help="Send results to a sink of an installed plug-in.",
)
@click.option(
    "--summary", type=click.Path(path_type=Path), help="Write the figures of the run to a JSON file."
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option(
    "--max-age",
    type=FloatRange(0, min_open=True),
    default=1.0,
    metavar="S",
    help="Drop live frames older than S seconds. Lower values keep results current but may lose frames.",
)
@click.option(
    "--reconnect",
    type=FloatRange(0, forever=True),
    default=0.0,
    metavar="S",
    help="Keep retrying a camera or stream that is not there, or lost, for S seconds or `forever` (0: fail "
    "at once).",
)
@click.option("--max-frames", type=click.IntRange(1), metavar="N", help="End each SOURCE after N frames.")
@click.option("--duration", type=FloatRange(0, min_open=True), metavar="S", help="End after S seconds.")
@model_options
def run(
    model: Path,
    sources: tuple[str, ...],
    track: bool,
    zones: tuple[Path, ...],
    ignore: tuple[Path, ...],
    skip_unchanged: bool,
    as_json: bool,
    video: Path | None,
    keep_uncertain: Path | None,
    keep_every: float,
    keep_count: int,
    ring: Path | None,
    ring_mb: float,
    ring_days: float,
    show: bool,
    sink: tuple[str, ...],
    summary: Path | None,
    overwrite: bool,
    max_age: float,
    reconnect: float,
    max_frames: int | None,
    duration: float | None,
    **model_settings: Any,
) -> None:
    """Run a detector on cameras, streams, videos or folders.

    MODEL is an ONNX file, or one of another engine with its facts beside it. SOURCE is a camera (0, or
    '0?width=1280&height=720&fps=30&fourcc=MJPG'), a video or image file, a folder or glob of images, an
    address (rtsp://, http://, rtmp://, udp:// ...), a video on the standard input (-), or synth:NAME?fps=30.
    Live sources drop frames rather than fall behind, and count each drop. Files drop no frame, and several
    frames are in the model at a time. Ctrl-C ends the run and completes the video.

    Several sources take turns on the model; if one fails or ends, the others go on.

    A zone file, in pixels of the source or in shares of it (0 to 1); the position of an object is the bottom
    center of its box:

    \b
    {"zones": [{"name": "yard", "polygon": [[10, 20], [300, 20], [300, 200]],
                "classes": ["car"], "dwell_s": 30}],
     "lines": [{"name": "gate", "from": [0, 180], "to": [320, 180]}]}

    classes and dwell_s (report objects that stay longer, in seconds) are optional. Seen from "from" towards
    "to", an object that crosses the line to the right goes "in".
    """  # noqa: D301 (click reads the control character)
    if summary is not None:
        check_output_path("summary", summary, overwrite=overwrite)
    # Frames that are compared with each other go through the model one by one.
    footage = all(map(is_footage, sources)) and not skip_unchanged
    with gc_paused():
        detector = Detector(model, throughput=footage, live=not footage, **model_settings)
        # These bring OpenCV and pydantic, which load while onnxruntime opens the model.
        from edgeloop.edge.run_job import KeepPolicy, LivePolicy, RingPolicy, RunJob, run_job

    interrupted = run_job(
        RunJob(
            sources,
            LivePolicy(max_age, reconnect),
            track=track,
            zones=zones,
            ignore=ignore,
            skip_unchanged=skip_unchanged,
            as_json=as_json,
            video=video,
            keep=None if keep_uncertain is None else KeepPolicy(keep_uncertain, keep_every, keep_count),
            ring=None if ring is None else RingPolicy(ring, ring_mb, ring_days),
            show=show,
            plugins=sink,
            summary=summary,
            overwrite=overwrite,
            max_frames=max_frames,
            duration_s=duration,
        ),
        detector,
    )
    if interrupted:
        click.get_current_context().exit(INTERRUPTED)
