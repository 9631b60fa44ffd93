"""`edgeloop collect`: sharp, different frames of a source."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from edgeloop.edge.cli.float_range import FloatRange
from edgeloop.edge.cli.progress import progress_bar

__all__ = ["collect"]


@click.command()
@click.argument("source")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the frames: new, empty, or with frames of other sources, which are added to.",
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="Stop after N kept frames.")
@click.option(
    "--every",
    "every_s",
    type=FloatRange(0),
    default=0.0,
    metavar="S",
    help="Minimum seconds between two frames.",
)
@click.option("--stride", type=click.IntRange(1), default=1, metavar="N", help="Use every N-th frame only.")
@click.option(
    "--min-sharpness",
    type=FloatRange(0),
    default=0.5,
    show_default=True,
    help="Minimum sharpness relative to the running median. Higher values drop more blurred frames; 0 keeps "
    "all.",
)
@click.option(
    "--min-difference",
    type=click.IntRange(0, 256),
    default=12,
    show_default=True,
    help="Minimum Hamming distance to the last kept frames, in bits of a perceptual hash. Higher values drop "
    "more similar frames; 0 keeps all.",
)
@click.option("--keep-all", is_flag=True, help="Keep blurred and similar frames too.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object.")
def collect(
    source: str,
    out: Path,
    count: int | None,
    every_s: float,
    stride: int,
    min_sharpness: float,
    min_difference: int,
    keep_all: bool,
    as_json: bool,
) -> None:
    """Keep sharp, different frames of a source.

    SOURCE is a camera (0), a video or image file, a folder or glob of images, an rtsp:// or http:// address,
    or synth:NAME. Each frame is written at once, with its source and time in frames.jsonl. Ctrl-C ends a live
    source.
    """
    # Loads OpenCV; --help does without.
    from edgeloop.labeling.frames.selection import CollectPlan, collect_source

    plan = CollectPlan(
        count=count,
        every_s=every_s,
        stride=stride,
        min_sharpness=0.0 if keep_all else min_sharpness,
        min_difference=0 if keep_all else min_difference,
    )
    report = collect_source(source, out, plan, progress=progress_bar)
    click.echo(
        f"{out}: {report.kept} frames kept of {report.read} read "
        f"({report.blurred} blurred, {report.repeated} repeated)",
        err=True,
    )
    if as_json:
        click.echo(json.dumps({"frames": str(out), **asdict(report)}))
