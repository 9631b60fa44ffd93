"""`edgeloop mine`: what a device missed, and its recall without ground truth."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from edgeloop.edge.cli.float_range import FloatRange
from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.ring.ring_database import require_ring
from edgeloop.labeling.commands.workers_options import workers_options
from edgeloop.labeling.mining.mine_plan import MinePlan, label_plan, loop_of
from edgeloop.models.errors import NoInputError

if TYPE_CHECKING:
    from edgeloop.labeling.mining.mining_job import MineReport

__all__ = ["mine"]

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("ring", type=_FOLDER)
@click.option(
    "-e",
    "--exemplars",
    type=click.Path(path_type=Path),
    help="Boxes around all objects of interest on a few frames, as for `edgeloop label`, with their images "
    "beside them. The teacher learns from them.  [default: those of the loop that RING is in]",
)
@click.option(
    "-o",
    "--out",
    type=_FOLDER,
    help="Folder of what is found; give it again to look at new frames only.  [default: RING.mined; "
    "in a loop LOOP/mined]",
)
@click.option(
    "--top",
    type=click.IntRange(0),
    metavar="N",
    help="Look at the random share and the N most doubtful of the other frames only. Higher values find more "
    "misses and take longer; the figures need the random share only.  [default: all frames]",
)
@click.option(
    "--sam",
    metavar="NAME|FILE|FOLDER",
    help="Segmenter that draws the masks, as for `edgeloop label`.  [default: that of the loop, or nano]",
)
@click.option(
    "--device",
    type=click.Choice(("cpu", "cuda")),
    help="Processor that trains and runs the teacher.  [default: that of the loop, or cpu]",
)
@click.option("--offline", is_flag=True, help="Use cached checkpoints only; never download.")
@click.option(
    "--confidence",
    type=FloatRange(0, 1),
    help="Minimum probability of a label, and so of a miss that is counted; recall and precision do not "
    "depend on it.  [default: that of the loop, or 0.5]",
)
@click.option("--seed", type=click.IntRange(0), help="Random seed.  [default: that of the loop, or 0]")
@workers_options
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def mine(
    ring: Path,
    exemplars: Path | None,
    out: Path | None,
    top: int | None,
    sam: str | None,
    device: Literal["cpu", "cuda"] | None,
    offline: bool,
    confidence: float | None,
    seed: int | None,
    workers: int | None,
    ray: str | None,
    as_json: bool,
) -> None:
    """Find what a device missed, and estimate its recall and precision without ground truth.

    RING is a folder that `edgeloop run --ring` keeps, also while the device writes to it. A teacher, the
    detectors of `edgeloop label`, looks at the frames again. Recall and precision are estimated from the
    random share, with intervals that allow for what the teacher gets wrong; the misses come first in
    `edgeloop studio OUT/frames`. To resume an interrupted run, give the same command again.
    """
    require_ring(ring)  # before what a loop or exemplars would say
    plan = MinePlan(
        ring=ring,
        exemplars=exemplars,
        out=out,
        top=top,
        sam=sam,
        device=device,
        offline=offline,
        confidence=confidence,
        seed=seed,
        workers=workers,
        ray=ray,
    )
    boxes = label_plan(plan, loop_of(ring)).exemplars
    if boxes is not None and not boxes.exists():
        raise NoInputError(
            f"{boxes}: no such file or folder; expected boxes on frames, as for edgeloop label"
        )
    from edgeloop.labeling.mining.mining_job import mine_folder  # loads torch; --help does without

    report = mine_folder(plan, progress=progress_bar, tell=partial(click.echo, err=True))
    if as_json:
        click.echo(json.dumps({"out": str(report.folder.root), **report.json}))
    else:
        click.echo("\n".join(_lines(report)))


def _lines(report: MineReport) -> list[str]:
    mined = report.mined
    lines = [report.table, ""]
    if mined.vanished or mined.unreadable:
        lines.append(f"{mined.vanished} frames were evicted meanwhile, {mined.unreadable} could not be read.")
    return [*lines, report.summary]
