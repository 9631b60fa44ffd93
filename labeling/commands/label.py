"""`edgeloop label`: SAM masks and classes for a folder of frames."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from edgeloop.edge.cli.aliased_option import AliasedOption
from edgeloop.edge.cli.float_range import FloatRange
from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.cli.table import table
from edgeloop.labeling.commands.frames_argument import FramesArgument, LocalPath
from edgeloop.labeling.commands.workers_options import workers_options
from edgeloop.labeling.inputs.plan import LITE0, MOVING, LabelPlan
from edgeloop.models.task import Task

if TYPE_CHECKING:
    from edgeloop.labeling.job import LabelReport

__all__ = ["label"]

_FOLDER = LocalPath(path_type=Path, file_okay=False)


@click.command(context_settings={"show_default": True})
@click.argument("frames", type=FramesArgument(path_type=Path, file_okay=False))
@click.option(
    "-e",
    "--exemplars",
    type=LocalPath(path_type=Path),
    help="Boxes around all objects of interest on a few of the frames: a COCO json, or a folder of YOLO text "
    "files with classes.txt. Or, for what moves in front of a fixed camera, folders of crops named by "
    "class. Objects of class _ignore are never labeled.",
)
@click.option(
    "--classes",
    help="Instead of exemplars: `moving` for everything that moves in front of a fixed camera, or, with a "
    "CLIP as --classifier, names of what moves, separated by commas.",
)
@click.option(
    "--corrected",
    type=LocalPath(path_type=Path),
    metavar="DATASET",
    help="Dataset of these frames that a person corrected: its boxes are kept as they are, and learned from. "
    "A folder that edgeloop label wrote, with edited labels, or an export of another tool (as for -e), of "
    "which every frame counts as checked.",
)
@click.option(
    "--decisions",
    type=LocalPath(path_type=Path),
    metavar="FILE",
    help="Decisions of a person in the review of edgeloop studio, OUT/decisions.jsonl there: what was called "
    "right, changed or added stays so, what was called wrong stays away.",
)
@click.option(
    "-o", "--out", required=True, type=_FOLDER, help="Folder of the dataset: new, or of the same job."
)
@click.option(
    "--sam",
    default="nano",
    metavar="nano|vit_b|vit_l|vit_h|FILE|FOLDER",
    help="Segmenter: nano ships with edgeloop, the vit models are downloaded once; or a checkpoint of SAM or "
    "SAM 2.1, or the ONNX encoder and decoder of SAM, SAM 2, MobileSAM, EdgeSAM or EfficientSAM.",
)
@click.option(
    "--device",
    type=click.Choice(("cpu", "cuda")),
    default="cpu",
    help="Processor that trains the detectors and runs the segmenter.",
)
@click.option(
    "--classifier",
    cls=AliasedOption,
    aliases=["--looks"],
    default=LITE0,
    metavar="lite0|MODEL:WEIGHTS",
    help="Features that tell classes apart: lite0, or a model with a file of its weights: a DINOv2 or DINOv3 "
    "of timm, or a CLIP of open_clip (also with a tag to download).",
)
@click.option("--prompts", hidden=True, help="Has no effect: what is labeled by follows from the exemplars.")
@click.option("--offline", is_flag=True, help="Use cached checkpoints only; never download.")
@click.option(
    "--weights",
    metavar="NAME|FILE",
    help="Start weights of the detectors, as for `edgeloop train`.",
)
@click.option(
    "--confidence",
    type=FloatRange(0, 1),
    help="Minimum label score; with boxes on frames, the probability that a label is right. Higher values "
    "give fewer wrong labels but miss more; labels just below it go to review.json.  [default: 0.5; 0.3 "
    "without boxes on frames]",
)
@click.option(
    "--footage",
    type=click.Choice(["auto", "film", "photos"]),
    default="auto",
    help="Kind of the frames: film is split by time within each recording, photos by groups of "
    "near-duplicates. auto takes frames with times, or whose neighbors look alike, for film.",
)
@click.option(
    "--task",
    type=click.Choice(["detect", "segment"]),
    default="detect",
    help="Labels to write: boxes, or polygons for `edgeloop train --task segment`. With the other task, the "
    "same command rewrites the labels in OUT and labels nothing anew.",
)
@click.option("--val-share", type=FloatRange(0, 0.9), default=0.2, help="Share of the frames for validation.")
@click.option(
    "--gap-share",
    type=FloatRange(0, 0.5),
    default=0.05,
    help="Share of each recording left out between train and val; 0 also keeps repeated frames in val.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed.")
@workers_options
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def label(
    frames: Path | str,
    exemplars: Path | None,
    classes: str | None,
    corrected: Path | None,
    decisions: Path | None,
    out: Path,
    sam: str,
    device: Literal["cpu", "cuda"],
    classifier: str,
    prompts: str | None,
    offline: bool,
    weights: str | None,
    confidence: float | None,
    footage: Literal["auto", "film", "photos"],
    task: Task,
    val_share: float,
    gap_share: float,
    seed: int,
    workers: int | None,
    ray: str | None,
    as_json: bool,
) -> None:
    """Label frames with SAM from boxes on a few of them, or label whatever moves.

    FRAMES is a folder that `edgeloop collect` wrote, any folder of images, or such a folder in object storage
    (s3://bucket/folder, gs://, az:// ...; credentials come from the environment). The dataset is split into
    train and val, and opens in Ultralytics and in COCO tools. To resume an interrupted run, give the same
    command again.
    """
    if classes is not None and corrected is not None:
        raise click.UsageError("--corrected names the classes; leave --classes out")
    if (exemplars is None) == (classes is None) and (corrected is None or classes is not None):
        raise click.UsageError(
            "expected one of --exemplars, --corrected or --classes (such as moving): what is to be labeled?"
        )
    if prompts is not None:
        click.echo(f"--prompts {prompts} has no effect: the exemplars decide. Leave it out.", err=True)
    names: tuple[str, ...] = (
        () if classes in (None, MOVING) else tuple(name.strip() for name in classes.split(","))
    )
    if "" in names or len({*names}) < len(names):
        raise click.UsageError(f"--classes {classes}: expected different names, separated by commas")
    from edgeloop.labeling.job import label_frames  # loads torch; --help does without

    plan = LabelPlan(
        frames=frames,
        exemplars=exemplars,
        out=out,
        corrected=corrected,
        decisions=decisions,
        classes=names,
        classifier=classifier,
        sam=sam,
        device=device,
        offline=offline,
        weights=weights,
        confidence=confidence,
        footage=footage,
        task=task,
        val_share=val_share,
        gap_share=gap_share,
        seed=seed,
        workers=workers,
        ray=ray,
    )
    report = label_frames(plan, progress=progress_bar, tell=lambda line: click.echo(line, err=True))
    _print_table(report, out)
    if as_json:
        figures = {
            "out": str(out),
            "footage": report.footage,
            "promise": report.promise,
            **{name: value for name, value in asdict(report.dataset).items() if value is not None},
            **_timing(report),
        }
        click.echo(json.dumps(figures))


def _timing(report: LabelReport) -> dict[str, float]:
    return {
        "resumed": report.resumed,
        "frames_per_s": round(report.frames_per_s, 2),
        "seconds": math.ceil(report.seconds),
    }


def _print_table(report: LabelReport, out: Path) -> None:
    dataset = report.dataset
    images = [("images", *(str(dataset.images[split]) for split in ("train", "val", "gap")))]
    labels = [
        (name, str(counts["train"]), str(counts["val"]), str(dataset.unsure[name]))
        for name, counts in dataset.labels.items()
    ]
    click.echo(f"{out}\n{report.footage}\n", err=True)
    click.echo(table("<>>>", ("", "train", "val", "left out or unsure"), images, labels), err=True)
    rate = f"; {report.frames_per_s:.1f} frames/s" if report.frames_per_s else ""
    click.echo(
        f"\n{dataset.empty} images show nothing, {dataset.set_aside} were set aside{rate}. "
        f"What is unsure or set aside: {out / 'review.json'}",
        err=True,
    )
    if dataset.rectangles:
        click.echo(
            f"labels without a mask, whose polygon is the rectangle of their box: {dataset.rectangles}; "
            "training takes it for a mask. To have fewer, label anew with another --sam, or draw masks of "
            "such objects on exemplar frames",
            err=True,
        )
