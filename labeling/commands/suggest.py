"""`edgeloop suggest`: the frames that are most worth boxing."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from edgeloop.edge.cli.progress import progress_bar

__all__ = ["suggest"]


@click.command(context_settings={"show_default": True})
@click.argument("frames", type=click.Path(path_type=Path, file_okay=False))
@click.option("--count", type=click.IntRange(1), default=5, metavar="N", help="Number of frames to suggest.")
@click.option(
    "-e",
    "--exemplars",
    type=click.Path(path_type=Path),
    help="Boxes that are drawn already, as for `edgeloop label`. Their frames count as chosen; N more are "
    "suggested.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of file names.")
def suggest(frames: Path, count: int, exemplars: Path | None, as_json: bool) -> None:
    """Suggest the frames to draw exemplars on.

    FRAMES is a folder that `edgeloop collect` wrote, or any folder of images. Together the suggested frames
    resemble all others as closely as possible; their file names are printed one a line, the most
    representative first.
    """
    # Loads torch; --help does without.
    from edgeloop.labeling.frames.suggestion import suggest_frames

    found = suggest_frames(frames, count, exemplars=exemplars, progress=progress_bar)
    click.echo(
        f"{frames}: {count} of {found.compared} frames suggested ({found.boxed} boxed already, "
        f"{len(found.skipped)} unreadable); {found.frames_per_s:.0f} frames/s",
        err=True,
    )
    if as_json:
        figures = {**asdict(found), "frames_per_s": round(found.frames_per_s, 1)}
        click.echo(json.dumps({"frames": str(frames), **figures}))
    else:
        click.echo("\n".join(found.files))
