"""`edgeloop audit`: precision and recall of labels, estimated from a person's answers about a sample."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import click

from edgeloop.edge.cli.progress import progress_bar

__all__ = ["audit"]

_INTERRUPTED = 130


@click.command(context_settings={"show_default": True})
@click.argument("dataset", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--boxes",
    type=click.IntRange(1, 2000),
    default=100,
    metavar="N",
    help="Labels to check, for precision. More labels give a narrower interval.",
)
@click.option(
    "--frames",
    type=click.IntRange(1, 500),
    default=20,
    metavar="N",
    help="Frames to check, for recall. More frames give a narrower interval.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port of the page on 127.0.0.1.  [default: any free port]"
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the sample as one picture (.png) instead of opening the page.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def audit(
    dataset: Path,
    boxes: int,
    frames: int,
    seed: int,
    port: int | None,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Estimate precision and recall of the labels, without ground truth.

    DATASET is a folder that `edgeloop label` wrote. A random sample of labels and frames is shown on a page
    that only this machine can open: accept or reject each box, then mark missed objects on each frame.
    Answers are saved at once in DATASET/audit.json. Give the same command again to go on, or to print the
    figures again. Labels that a person drew are not asked about.
    """
    from edgeloop.labeling.studio import audit_page  # loads OpenCV; --help does without

    if sheet is not None:
        if sheet.suffix.lower() != ".png":
            raise click.BadParameter(f"{sheet}: expected a name that ends in .png", param_hint="--sheet")
        if as_json or port is not None:
            raise click.UsageError("--sheet asks nothing; --json and --port belong to the page")
        audit_page.check_sheet(sheet)
    with progress_bar(None, "Drawing") as advance:
        sample = audit_page.draw_sample(dataset, boxes=boxes, frames=frames, seed=seed, advance=advance)
    if sheet is not None:
        audit_page.write_sheet(sample, sheet)
        click.echo(
            f"{sheet}: {len(sample.boxes)} boxes and {len(sample.frames)} frames of {dataset}", err=True
        )
        return
    report = audit_page.audit_sample(sample, port=port, tell=partial(click.echo, err=True))
    click.echo(json.dumps(report.json) if as_json else "\n".join(report.lines))
    if report.interrupted:
        click.get_current_context().exit(_INTERRUPTED)
