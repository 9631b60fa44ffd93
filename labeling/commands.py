"""The verbs of labeling: `edgeloop collect`, `edgeloop label` and `edgeloop stats`.

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
    from labeling.stats import DatasetStats

__all__ = ["collect", "label", "stats"]

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
    type=click.Path(path_type=Path),
    help="All objects of interest boxed on a few of the frames: a COCO json, or a folder of YOLO text files "
    "with classes.txt. The class _ignore is for what must not be labelled.",
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


@click.command()
@click.argument("dataset", type=_FOLDER)
@click.option(
    "--frames",
    "within_frames",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="A validation frame so near to a training frame of its source leaks.",
)
@click.option(
    "--bits",
    "within_bits",
    type=click.IntRange(0, 256),
    default=4,
    show_default=True,
    help="So does one whose perceptual hash (256 bits) differs in so few bits.",
)
@click.option(
    "--limit",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Largest share of validation frames that may leak; above it the exit code is 65.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object.")
def stats(dataset: Path, within_frames: int, within_bits: int, limit: float, as_json: bool) -> None:
    """Count what is in a dataset, and check that its validation frames are unseen.

    DATASET is a folder that `edgeloop label` wrote. A detector's score on validation frames that look like
    training frames says nothing; a dataset with too many of them is refused.
    """
    from edge.progress import progress_bar
    from labeling.stats import read_stats
    from models.errors import DataError

    with progress_bar(None, "Comparing") as advance:
        found = read_stats(dataset, within_frames=within_frames, within_bits=within_bits, advance=advance)
    _print_stats(found, dataset)
    if as_json:
        click.echo(json.dumps({**asdict(found), "leaked_share": round(found.leaked_share, 4)}))
    if found.leaked_share > limit:
        worst = found.leaks[0]
        raise DataError(
            f"{dataset}: {len(found.leaks)} of {found.images['val']} validation frames are next to or look "
            f"like training frames ({worst.file} like {worst.like}), expected at most {limit:.0%}; "
            "label again with a larger --gap-share"
        )


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


def _print_stats(found: DatasetStats, dataset: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=str(dataset), title_justify="left")
    table.add_column("")
    for column in ("train", "val", "side of a box, px"):
        table.add_column(column, justify="right")
    table.add_row("images", *(str(found.images.get(split, 0)) for split in ("train", "val")), "")
    table.add_row(
        "without a label",
        *(str(found.empty.get(split, 0)) for split in ("train", "val")),
        "5 % / median / 95 %",
        end_section=True,
    )
    for name, counts in found.labels.items():
        sides = " / ".join(f"{side:.0f}" for side in found.sides_px.get(name, ()))
        table.add_row(name, *(str(counts.get(split, 0)) for split in ("train", "val")), sides)
    console = Console(stderr=True)
    console.print(table)
    prompts = ", ".join(f"{count} {name}" for name, count in found.prompts.items())
    console.print(f"Labels by prompt: {prompts or 'none'}.", soft_wrap=True, highlight=False)
    console.print(
        f"{len(found.leaks)} of {found.images.get('val', 0)} validation frames are next to or look like a "
        "training frame.",
        soft_wrap=True,
        highlight=False,
    )
