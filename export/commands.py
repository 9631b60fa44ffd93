"""Commands of this package: `edgeloop train` and `edgeloop export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from edgeloop.edge.cli.float_range import FloatRange
from edgeloop.edge.cli.options import choice_options
from edgeloop.edge.cli.table import table
from edgeloop.export.export_options import INPUTS, PRECISIONS, ExportOptions
from edgeloop.export.exporter import export_bundle
from edgeloop.export.targets import options_for
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TRAINERS, Device, TrainOptions
from edgeloop.models.facts.overrides import SpecOverrides
from edgeloop.models.task import Task

__all__ = ["export", "train"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("dataset", type=_PATH)
@click.option("-o", "--out", type=_PATH, required=True, metavar="RUN", help="Folder to create.")
@click.option(
    "--task",
    type=click.Choice(get_args(Task)),
    default="detect",
    show_default=True,
    help="Task of the detector: boxes, or boxes and masks. segment needs labels that are polygons.",
)
@click.option(
    "--trainer",
    type=click.Choice(list(TRAINERS)),
    default="edgeloop",
    show_default=True,
    help="Training code. edgeloop (Apache-2.0) trains edgeloop-lite0; ultralytics (AGPL-3.0, installed with "
    "edgeloop[ultralytics]) its own detectors.",
)
@click.option(
    "--model",
    help="Detector to train: edgeloop-lite0; with --trainer ultralytics a name such as yolo26n, or a .pt or "
    ".yaml file.  [default: edgeloop-lite0, or yolo26n]",
)
@click.option(
    "--weights",
    help="Start weights: none; imagenet, a shipped name or a .safetensors file; with --trainer ultralytics a "
    ".pt file.  [default: those that ship for the model]",
)
@click.option(
    "--activation",
    type=click.Choice(["silu", "relu"]),
    help="Activation function of ultralytics' detectors; NPUs and INT8 favor ReLU.  [default: the model's]",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Passes over the training images.  [default: 30, or 150 steps for up to 20 images]",
)
@click.option(
    "--time-limit",
    "time_limit_s",
    type=FloatRange(0, min_open=True),
    metavar="S",
    help="Stop after S seconds; the learning rate falls to its end by then.",
)
@click.option(
    "--patience",
    type=click.IntRange(1),
    metavar="N",
    help="Stop after N epochs without a better mAP50-95.  [default: never]",
)
@click.option(
    "--imgsz",
    type=click.IntRange(32),
    help="Image side, px, a multiple of 32. Higher values find smaller objects and take longer.  "
    "[default: from the objects' sizes]",
)
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, help="Images per step.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
@click.option(
    "--freeze",
    type=click.IntRange(0),
    metavar="N",
    help="Do not train the first N layers.  [default: edgeloop-lite0's pretrained backbone]",
)
@click.option(
    "--max-detections",
    type=click.IntRange(1, 10_000),
    default=300,
    show_default=True,
    metavar="N",
    help="Maximum number of detections per image in validation and in the exported bundle.",
)
@click.option(
    "--device",
    type=click.Choice(list(get_args(Device))),
    default="auto",
    show_default=True,
    help="Processor to train on. auto: CUDA if there is one.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier run.")
def train(dataset: Path, out: Path, **options: Any) -> None:
    """Train a compact detector on DATASET.

    RUN gets the detector (best.safetensors, or best.pt by ultralytics), the record of its training (run.json)
    and its curves (curves.png). The same command continues an interrupted training of edgeloop-lite0.
    """
    record = train_detector(dataset, out, TrainOptions(**options))
    scores = (
        "no validation part"
        if record.map50 is None
        else f"mAP50 {record.map50:.3f}, mAP50-95 {record.map50_95:.3f} on the validation part"
    )
    if record.mask_map50 is not None:
        scores += f", of masks {record.mask_map50:.3f} and {record.mask_map50_95:.3f}"
    click.echo(
        f"{out}: {scores}; {len(record.epochs)} epochs of {record.images} images in {record.seconds:.0f} s"
    )


@click.command()
@click.argument("run", type=_PATH)
@click.option(
    "-d", "--dataset", type=_PATH, required=True, help="Dataset whose validation part checks the bundle."
)
@click.option(
    "-o",
    "--out",
    type=_PATH,
    required=True,
    metavar="FILE.onnx",
    help="Bundle to write; with --target it ends in the suffix of the target's files.",
)
@click.option(
    "--imgsz", type=click.IntRange(32), help="Input side, px, a multiple of 32.  [default: as trained]"
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="Numeric precision. auto: the fastest on this machine that passes the checks.",
)
@click.option(
    "--input",
    type=click.Choice(INPUTS),
    default="tensor",
    show_default=True,
    help="Input format. tensor: float32 NCHW RGB, as other tools feed it. image: uint8 NHWC BGR.",
)
@click.option(
    "--batch",
    "dynamic_batch",
    type=click.Choice(["1", "dynamic"]),
    default="1",
    show_default=True,
    callback=lambda _context, _option, value: value == "dynamic",
    help="Images per inference.",
)
@click.option(
    "--max-detections",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Maximum number of detections per image.  [default: as trained]",
)
@click.option("--opset", type=int, default=13, show_default=True, help="ONNX opset, 11 to 20.")
@click.option(
    "--tolerance-map",
    type=float,
    default=0.01,
    show_default=True,
    help="Maximum loss of mAP50-95 against torch, 0 to 1.",
)
@click.option(
    "--tolerance-boxes",
    type=float,
    default=0.01,
    show_default=True,
    help="Maximum share of torch's boxes that the bundle may miss, 0 to 1.",
)
@click.option(
    "--target",
    metavar="NAME",
    help="Runtime: cpu, openvino, tensorrt, coreml, qnn, ncnn, litert, rknn or hailo.",
)
@click.option(
    "--chip",
    metavar="NAME",
    help="Chip of the target, such as rk3576 for rknn.  [default: the target's first]",
)
@choice_options
@click.option("--overwrite", is_flag=True, help="Replace an earlier bundle.")
def export(
    run: Path,
    dataset: Path,
    out: Path,
    target: str | None,
    settings: SpecOverrides | None,
    **options: Any,
) -> None:
    """Export the detector in RUN as one bundle: an ONNX file, or with --target the file of another engine.

    The bundle is compared with torch on held-out frames and refused (exit code 65) if it misses too many
    boxes or loses too much mAP. A report goes beside FILE.onnx: FILE.md, FILE.json and FILE.worst.jpg, or
    FILE.refused.md and so on; beside FILE.ncnn: FILE.ncnn.md, FILE.ncnn.report.json and so on.

    --confidence to --tile-overlap are written into the bundle, as defaults of `edgeloop run`.

    --target applies the settings that a runtime needs and prints the command to run next. Options given
    beside it win if the target leaves a choice.
    """
    chosen = (
        ExportOptions(**options, settings=settings)
        if target is None
        else options_for(target, {**_typed(options), "settings": settings})
    )
    report = export_bundle(run, dataset, out, chosen)
    parity, scores, masks = (
        report.measurement.parity,
        report.measurement.scores,
        report.measurement.mask_scores,
    )
    header, *rows = report.precision_rows()
    click.echo(f"held-out frames: {report.frames}", err=True)
    click.echo(table("<" + ">" * (len(header) - 2) + "<", header, rows), err=True)
    for candidate in report.candidates:
        for reason in candidate.reasons:
            click.echo(f"refused: {reason}", err=True)
    for failure in report.failed:
        click.echo(f"failed: {failure}", err=True)
    click.echo(
        f"{out}: {report.chosen.precision}, {parity.matched:.2%} of torch's {parity.boxes} boxes repeated, "
        f"mAP50 {scores.map50:.3f}, mAP50-95 {scores.map50_95:.3f}"
        + (f", mask mAP50 {masks.map50:.3f}, mask mAP50-95 {masks.map50_95:.3f}" if masks else "")
        + f" on {parity.frames} frames, "
        + (f"{report.measurement.latency_ms:.1f} ms" if report.measurement.latency_ms else "in a simulator")
    )
    if report.next_step is not None:
        click.echo(f"next: {report.next_step}")


def _typed(options: dict[str, Any]) -> dict[str, Any]:
    """Options given on the command line: a default must not override a target's setting."""
    source = click.get_current_context().get_parameter_source
    return {name: value for name, value in options.items() if source(name) is ParameterSource.COMMANDLINE}
