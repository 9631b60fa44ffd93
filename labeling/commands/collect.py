"""`edgeloop collect`. What it needs is imported when it runs, so that `--help` answers at once."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from edgeloop.edge.cli.float_range import FloatRange

__all__ = ["collect"]


@click.command()
@click.argument("source")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="New or empty folder for the frames.",
)
@click.option("--count", type=click.IntRange(1), help="Stop after so many frames.")
@click.option("--every", "every_s", type=FloatRange(0), default=0.0, help="Seconds between two frames.")
@click.option("--stride", type=click.IntRange(1), default=1, help="Look at each N-th frame only.")
@click.option(
    "--min-sharpness",
    type=FloatRange(0),
    default=0.5,
    show_default=True,
    help="Least sharpness, as a share of what is usual in this source; 0 keeps blurred frames.",
)
@click.option(
    "--min-difference",
    type=click.IntRange(0, 256),
    default=12,
    show_default=True,
    help="Least difference to frames kept shortly before, in bits of a hash; 0 keeps repetitions.",
)
@click.option("--keep-all", is_flag=True, help="Keep blurred frames and repetitions too.")
@click.option("--json", "as_json", is_flag=True, help="Print what was kept as one JSON object.")
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

    SOURCE is a camera (0), a file, a folder or glob, rtsp://, http:// or synth:NAME. Frames are written as
    they come, each with its source and time in frames.jsonl; Ctrl-C ends a live source and loses nothing.
    """
    from edgeloop.edge.cli.progress import progress_bar
    from edgeloop.edge.sources import open_source
    from edgeloop.labeling.frames.selection import CollectPlan, collect_frames

    plan = CollectPlan(
        count=count,
        every_s=every_s,
        stride=stride,
        min_sharpness=0.0 if keep_all else min_sharpness,
        min_difference=0 if keep_all else min_difference,
    )
    with open_source(source) as opened, progress_bar(count or opened.length, "Collecting") as advance:
        report = collect_frames(opened, out, plan, advance=advance)
    click.echo(
        f"{out}: {report.kept} frames kept of {report.read} read "
        f"({report.blurred} blurred, {report.repeated} repeated)",
        err=True,
    )
    if as_json:
        click.echo(json.dumps({"frames": str(out), **asdict(report)}))
