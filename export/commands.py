"""The verbs of this package: `edgeloop train` and `edgeloop export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from edgeloop.edge.cli.float_range import FloatRange
from edgeloop.edge.cli.table import table
from edgeloop.export.export_options import INPUTS, PRECISIONS, ExportOptions, Input, Precision
from edgeloop.export.exporter import export_bundle
from edgeloop.export.targets import options_for
from edgeloop.export.train.train_options import DEFAULT_MODEL, Activation, TrainOptions
from edgeloop.export.train.training import train_detector

__all__ = ["export", "train"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("dataset", type=_PATH)
@click.option("-o", "--out", type=_PATH, required=True, metavar="RUN", help="Folder to make.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Or yolo26n, a .pt, a .yaml.")
@click.option("--weights", help="What to start from: none, imagenet, a shipped name, .safetensors or .pt.")
@click.option("--activation", type=click.Choice(["silu", "relu"]), help="NPUs and INT8 like ReLU better.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training images.  [default: 30]")
@click.option("--time-limit", type=FloatRange(0, min_open=True), metavar="S", help="Wall time, seconds.")
@click.option(
    "--patience", type=click.IntRange(1), metavar="N", help="End after N epochs without a better mAP50-95."
)
@click.option("--imgsz", type=click.IntRange(32), default=320, show_default=True, help="Image side, px.")
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, help="Images per step.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--freeze", type=click.IntRange(0), metavar="N", help="Leading layers that stay as they are.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier run.")
def train(
    dataset: Path, out: Path, model: str, weights: str | None, activation: Activation | None,
    epochs: int | None, time_limit: float | None, patience: int | None, imgsz: int, batch: int, seed: int,
    freeze: int | None, overwrite: bool,
) -> None:  # fmt: skip
    """Train a compact detector on DATASET.

    RUN gets the detector (best.pt), how it was trained (run.json) and a picture of it (curves.png).
    """
    options = TrainOptions(
        model=model, weights=weights, activation=activation, epochs=epochs, time_limit_s=time_limit,
        patience=patience, imgsz=imgsz, batch=batch, seed=seed, freeze=freeze, overwrite=overwrite,
    )  # fmt: skip
    record = train_detector(dataset, out, options)
    click.echo(
        f"{out}: mAP50 {record.map50:.3f}, mAP50-95 {record.map50_95:.3f} on the validation part; "
        f"{len(record.epochs)} epochs of {record.images} images in {record.seconds:.0f} s"
    )


@click.command()
@click.argument("run", type=_PATH)
@click.option("-d", "--dataset", type=_PATH, required=True, help="Its validation part checks the bundle.")
@click.option("-o", "--out", type=_PATH, required=True, metavar="FILE.onnx", help="Bundle to write.")
@click.option("--imgsz", type=click.IntRange(32), help="Input side, px.  [default: as trained]")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="auto: the fastest on this machine that passes.",
)
@click.option(
    "--input",
    "input_form",
    type=click.Choice(INPUTS),
    default="tensor",
    show_default=True,
    help="tensor: float NCHW RGB, as other tools feed it. image: uint8 NHWC BGR.",
)
@click.option(
    "--batch", type=click.Choice(["1", "dynamic"]), default="1", show_default=True, help="Images at a time."
)
@click.option("--opset", type=int, default=13, show_default=True, help="Of ONNX.")
@click.option("--tolerance-map", type=float, default=0.01, show_default=True, help="mAP50-95 it may lose.")
@click.option(
    "--tolerance-boxes", type=float, default=0.01, show_default=True, help="Share of boxes it may lose."
)
@click.option("--target", metavar="NAME", help="cpu, openvino, tensorrt, coreml, qnn, rknn or hailo.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier bundle.")
def export(
    run: Path,
    dataset: Path,
    out: Path,
    imgsz: int | None,
    precision: Precision,
    input_form: Input,
    batch: str,
    opset: int,
    tolerance_map: float,
    tolerance_boxes: float,
    target: str | None,
    overwrite: bool,
) -> None:
    """Export the detector in RUN as one ONNX bundle.

    The bundle is compared with torch on held-out frames and refused (exit code 65) if it lost boxes or
    precision. A report goes beside it: FILE.md, FILE.json and FILE.worst.jpg, or FILE.refused.md and so on.

    --target sets what a runtime is known to need and says what to run next; an option that is given beside it
    wins where the target leaves a choice.
    """
    asked: dict[str, Any] = {
        "imgsz": imgsz,
        "precision": precision,
        "input": input_form,
        "dynamic_batch": batch == "dynamic",
        "opset": opset,
        "overwrite": overwrite,
        "tolerance_map": tolerance_map,
        "tolerance_boxes": tolerance_boxes,
    }
    options = ExportOptions(**asked) if target is None else options_for(target, _typed(asked))
    report = export_bundle(run, dataset, out, options)
    parity, scores = report.measurement.parity, report.measurement.scores
    header, *rows = report.precision_rows()
    click.echo(table("<>>>>><", header, rows), err=True)
    for candidate in report.candidates:
        for reason in candidate.reasons:
            click.echo(f"refused: {reason}", err=True)
    click.echo(
        f"{out}: {report.chosen.precision}, {parity.matched:.2%} of torch's {parity.boxes} boxes repeated, "
        f"mAP50 {scores.map50:.3f}, mAP50-95 {scores.map50_95:.3f} on {parity.frames} frames, "
        f"{report.measurement.latency_ms:.1f} ms"
    )
    if report.next_step is not None:
        click.echo(f"next: {report.next_step}")


def _typed(asked: dict[str, Any]) -> dict[str, Any]:
    """The options that stand on the command line: what a target sets, a mere default must not undo."""
    source = click.get_current_context().get_parameter_source
    named = {"input": "input_form", "dynamic_batch": "batch"}
    typed = {name for name in asked if source(named.get(name, name)) is ParameterSource.COMMANDLINE}
    return {name: value for name, value in asked.items() if name in typed}
