"""`edgeloop stats`: counts of a dataset or exemplars, their problems, and a check for leaks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from edgeloop.edge.cli.float_range import FloatRange
from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.cli.table import table
from edgeloop.edge.labels.label_problems import TOLERATED
from edgeloop.labeling.commands.workers_options import workers_options
from edgeloop.labeling.dataset.statistics import DatasetStats, read_stats
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.errors import DataError

__all__ = ["stats"]

_LIMIT = 0.05
_SIZES = 3  # sizes of images that are shown


@click.command(context_settings={"show_default": True})
@click.argument("dataset", type=click.Path(path_type=Path))
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
    help="Maximum share of validation frames that leak; above it the exit code is 65.  [default: 0.05 for "
    "what `edgeloop label` wrote, no limit otherwise]",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Images of exemplars that are not beside their labels.",
)
@workers_options
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object.")
def stats(
    dataset: Path,
    within_frames: int,
    within_bits: int,
    limit: float | None,
    images: Path | None,
    workers: int | None,
    ray: str | None,
    as_json: bool,
) -> None:
    """Count the images and labels of a dataset or of exemplars, and name what is wrong with them.

    DATASET is a folder that `edgeloop label` wrote, a dataset for `edgeloop train` (data.yaml), or exemplars
    for `edgeloop label` (COCO json, YOLO text files, folders of crops). The exit code is 65 if one of these
    commands would refuse it. Accuracy on validation frames that look like training frames means nothing, so a
    dataset of `edgeloop label` with too many of them is refused too.
    """
    with progress_bar(None, "Comparing") as advance:
        found = read_stats(
            dataset,
            within_frames=within_frames,
            within_bits=within_bits,
            images=images,
            workers=Workers(workers, ray),
            advance=advance,
        )
    _print_stats(found, dataset)
    if as_json:
        click.echo(json.dumps({**asdict(found), "leaked_share": round(found.leaked_share, 4)}))
    refused = [problem for problem in found.problems.values() if problem.refused]
    if refused:
        more = sum(problem.count for problem in refused) - 1
        raise DataError(refused[0].first + (f" (and {more} more of this or other kinds)" if more else ""))
    if limit is None and found.kind == "labeled":
        limit = _LIMIT
    if limit is not None and found.leaked_share > limit:
        worst = found.leaks[0]
        raise DataError(
            f"{dataset}: {len(found.leaks)} of {found.images['val']} validation frames are next to or look "
            f"like training frames ({worst.file} like {worst.like}), expected at most {limit:.0%}; "
            "label again with a larger --gap-share"
        )


def _print_stats(found: DatasetStats, dataset: Path) -> None:
    splits = ("exemplars",) if "exemplars" in found.images else ("train", "val")
    images = [
        ("images", *_by_split(found.images, splits), ""),
        ("without a label", *_by_split(found.empty, splits), "5 % / median / 95 %"),
    ]
    labels = [
        (name, *_by_split(counts, splits), " / ".join(f"{side:.0f}" for side in found.sides_px.get(name, ())))
        for name, counts in found.labels.items()
    ]
    click.echo(f"{dataset}\n", err=True)
    align = "<" + ">" * (len(splits) + 1)
    click.echo(table(align, ("", *splits, "side of a box, px"), images, labels), err=True)
    sizes = [f"{count} of {size}" for size, count in found.image_sizes.items()]
    rest = len(sizes) - _SIZES
    click.echo(
        f"\nImages: {', '.join(sizes[:_SIZES]) or 'none'}{f', and {rest} other sizes' if rest > 0 else ''}.",
        err=True,
    )
    if found.kind == "labeled":
        prompts = ", ".join(f"{count} {name}" for name, count in found.prompts.items())
        click.echo(f"Labels by prompt: {prompts or 'none'}.", err=True)
    if "exemplars" not in splits:
        _print_leaks(found)
    for kind, problem in found.problems.items():
        told = f"{kind.replace('_', ' ')}: refused" if problem.refused else TOLERATED[kind]
        click.echo(f"{problem.count} {told} (first: {problem.first})", err=True)


def _print_leaks(found: DatasetStats) -> None:
    val = found.images.get("val", 0)
    told = f"{len(found.leaks)} of {val} validation frames are next to or look like a training frame."
    if not val:
        told = "No validation frame: nothing will tell how good a detector is"
        told += "; label again with --val-share." if found.kind == "labeled" else "."
    click.echo(told, err=True)


def _by_split(counts: Mapping[str, int], splits: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(counts.get(split, 0)) for split in splits)
