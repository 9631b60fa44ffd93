"""`edgeloop stats`: counts of a dataset, and a check for leaks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeloop.edge.cli.float_range import FloatRange
from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.cli.table import table
from edgeloop.models.errors import DataError

if TYPE_CHECKING:
    from edgeloop.labeling.dataset.statistics import DatasetStats

__all__ = ["stats"]


@click.command(context_settings={"show_default": True})
@click.argument("dataset", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--frames",
    "within_frames",
    type=click.IntRange(0),
    default=5,
    metavar="N",
    help="Validation frames at most N frames from a training frame of their recording leak.",
)
@click.option(
    "--bits",
    "within_bits",
    type=click.IntRange(0, 256),
    default=4,
    metavar="N",
    help="Validation frames whose perceptual hash (256 bits) differs in at most N bits leak too.",
)
@click.option(
    "--limit",
    type=FloatRange(0, 1),
    default=0.05,
    help="Maximum share of validation frames that leak; above it the exit code is 65.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object.")
def stats(dataset: Path, within_frames: int, within_bits: int, limit: float, as_json: bool) -> None:
    """Count the images and labels of a dataset, and check that validation frames differ from training frames.

    DATASET is a folder that `edgeloop label` wrote. Accuracy on validation frames that look like training
    frames means nothing, so a dataset with too many of them is refused.
    """
    from edgeloop.labeling.dataset.statistics import read_stats  # loads OpenCV; --help does without

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


def _print_stats(found: DatasetStats, dataset: Path) -> None:
    images = [
        ("images", *_by_split(found.images), ""),
        ("without a label", *_by_split(found.empty), "5 % / median / 95 %"),
    ]
    labels = [
        (name, *_by_split(counts), " / ".join(f"{side:.0f}" for side in found.sides_px.get(name, ())))
        for name, counts in found.labels.items()
    ]
    click.echo(f"{dataset}\n", err=True)
    click.echo(table("<>>>", ("", "train", "val", "side of a box, px"), images, labels), err=True)
    prompts = ", ".join(f"{count} {name}" for name, count in found.prompts.items())
    click.echo(f"\nLabels by prompt: {prompts or 'none'}.", err=True)
    val = found.images.get("val", 0)
    told = f"{len(found.leaks)} of {val} validation frames are next to or look like a training frame."
    if not val:
        told = "No validation frame: nothing will tell how good a detector is; label again with --val-share."
    click.echo(told, err=True)


def _by_split(counts: Mapping[str, int]) -> tuple[str, str]:
    return str(counts.get("train", 0)), str(counts.get("val", 0))
