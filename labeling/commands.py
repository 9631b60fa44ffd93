"""The verbs of labeling: `edgeloop collect` and `edgeloop label`.

What they need is imported when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from labeling.job import LabelReport

__all__ = ["collect", "label"]

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("source")
@click.option("-o", "--out", required=True, type=_FOLDER, help="New or empty folder for the frames.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many frames.")
@click.option("--every", "every_s", type=click.FloatRange(0), default=0.0, help="Seconds between two frames.")
@click.option("--stride", type=click.IntRange(1), default=1, help="Look at each N-th frame only.")
@click.option(
    "--min-sharpness",
    type=click.FloatRange(0),
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
    from edge.progress import progress_bar
    from edge.sources import open_source
    from labeling.collect import CollectPlan, collect_frames

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


@click.command()
@click.argument("frames", type=_FOLDER)
@click.option(
    "-e",
    "--exemplars",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="COCO json with all objects of interest boxed on a few of the frames; the category _ignore is for "
    "what must not be labelled.",
)
@click.option("-o", "--out", required=True, type=_FOLDER, help="Folder of the dataset; must not exist.")
@click.option(
    "--sam",
    default="nano",
    show_default=True,
    help="Segmenter: nano, vit_b, vit_l, vit_h, or the path of a checkpoint.",
)
@click.option("--offline", is_flag=True, help="Never fetch a checkpoint; use what is in the cache.")
@click.option(
    "--prompts",
    default="similar",
    show_default=True,
    help="Where to look: similar, grid, or both.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="Least score of a label; what is a little less sure is listed in review.json.",
)
@click.option(
    "--val-share",
    type=click.FloatRange(0, 0.9),
    default=0.2,
    show_default=True,
    help="Share of the frames, the latest, that are kept for validation.",
)
@click.option(
    "--gap-share",
    type=click.FloatRange(0, 0.5),
    default=0.05,
    show_default=True,
    help="Share of the frames left out before them.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what is learnt.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def label(
    frames: Path,
    exemplars: Path,
    out: Path,
    sam: str,
    offline: bool,
    prompts: str,
    confidence: float,
    val_share: float,
    gap_share: float,
    seed: int,
    as_json: bool,
) -> None:
    """Label frames with SAM from boxes on a few of them.

    FRAMES is what `edgeloop collect` wrote, or any folder of images. The dataset opens in Ultralytics and in
    COCO tools; it is split by time. An interrupted run goes on where it was when the command is given again.
    """
    from labeling.job import LabelPlan, label_frames

    plan = LabelPlan(
        frames=frames,
        exemplars=exemplars,
        out=out,
        sam=sam,
        offline=offline,
        prompts=tuple(prompts.split(",")),
        confidence=confidence,
        val_share=val_share,
        gap_share=gap_share,
        seed=seed,
    )
    report = label_frames(plan, _stage)
    _print_table(report, out)
    if as_json:
        figures = {"out": str(out), **asdict(report.dataset), **_timing(report)}
        click.echo(json.dumps(figures))


def _stage(description: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    from edge.progress import progress_bar

    return progress_bar(total, description)


def _timing(report: LabelReport) -> dict[str, float]:
    return {
        "resumed": report.resumed,
        "frames_per_s": round(report.frames_per_s, 2),
        "seconds": math.ceil(report.seconds),
    }


def _print_table(report: LabelReport, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    dataset = report.dataset
    table = Table(title=str(out), title_justify="left")
    table.add_column("")
    for column in ("train", "val", "left out or unsure"):
        table.add_column(column, justify="right")
    table.add_row(
        "images", *(str(dataset.images[split]) for split in ("train", "val", "gap")), end_section=True
    )
    for name, counts in dataset.labels.items():
        table.add_row(name, str(counts["train"]), str(counts["val"]), str(dataset.unsure[name]))
    console = Console(stderr=True)
    console.print(table)
    console.print(
        f"{dataset.empty} images show nothing, {dataset.set_aside} were set aside as unreadable; "
        f"{report.frames_per_s:.1f} frames/s. What is unsure or set aside: {out / 'review.json'}",
        soft_wrap=True,
        highlight=False,
    )
