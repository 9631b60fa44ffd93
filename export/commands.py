"""The verbs of this package: `edgeloop train` and `edgeloop export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.options import ExportOptions

if TYPE_CHECKING:
    from export.detectors import Activation

__all__ = ["export", "train"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("dataset", type=_PATH)
@click.option("-o", "--out", type=_PATH, required=True, metavar="RUN", help="Folder to make.")
@click.option("--model", default="edgeloop-lite0", show_default=True, help="Or yolo26n, a .pt, a .yaml.")
@click.option("--weights", help="What to start from: none, imagenet, a shipped name, .safetensors or .pt.")
@click.option("--activation", type=click.Choice(["silu", "relu"]), help="NPUs and INT8 like ReLU better.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training images.  [default: 30]")
@click.option(
    "--time-limit", type=click.FloatRange(0, min_open=True), metavar="S", help="Wall time, seconds."
)
@click.option("--imgsz", type=click.IntRange(32), default=320, show_default=True, help="Image side, px.")
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, help="Images per step.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--freeze", type=click.IntRange(0), metavar="N", help="Leading layers that stay as they are.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier run.")
def train(
    dataset: Path, out: Path, model: str, weights: str | None, activation: Activation | None,
    epochs: int | None, time_limit: float | None, imgsz: int, batch: int, seed: int, freeze: int | None,
    overwrite: bool,
) -> None:  # fmt: skip
    """Train a compact detector on DATASET.

    RUN gets the detector (best.pt), how it was trained (run.json) and a picture of it (curves.png).
    """
    from export.train import TrainOptions
    from export.train import train as run_training

    options = TrainOptions(
        model=model, weights=weights, activation=activation, epochs=epochs, time_limit_s=time_limit,
        imgsz=imgsz, batch=batch, seed=seed, freeze=freeze, overwrite=overwrite,
    )  # fmt: skip
    record = run_training(dataset, out, options)
    click.echo(
        f"{out}: mAP50 {record.map50:.3f}, mAP50-95 {record.map50_95:.3f} on the validation part; "
        f"{len(record.epochs)} epochs of {record.images} images in {record.seconds:.0f} s"
    )


@click.command()
@click.argument("run", type=_PATH)
@click.option("-d", "--dataset", type=_PATH, required=True, help="Its validation part checks the bundle.")
@click.option("-o", "--out", type=_PATH, required=True, metavar="FILE.onnx", help="Bundle to write.")
@click.option("--imgsz", type=click.IntRange(32), help="Input side, px.  [default: as trained]")
@click.option("--target", metavar="NAME", help="cpu, openvino, tensorrt, coreml, qnn, rknn or hailo.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier bundle.")
def export(
    run: Path, dataset: Path, out: Path, imgsz: int | None, target: str | None, overwrite: bool
) -> None:
    """Export the detector in RUN as one ONNX bundle.

    The bundle is compared with torch on held-out frames, box by box, and refused if it drifted. A report goes
    beside it (FILE.json). --target sets what a runtime is known to need and says what to run next; an option
    that is given beside it wins where the target leaves a choice.
    """
    from export.onnx import export as run_export
    from export.targets import options_for

    asked: dict[str, Any] = {"imgsz": imgsz, "overwrite": overwrite}
    given = {name: value for name, value in asked.items() if value is not None}
    options = ExportOptions(**given) if target is None else options_for(target, given)
    report = run_export(run, dataset, out, options)
    parity, scores = report.measurement.parity, report.measurement.scores
    click.echo(
        f"{out}: {parity.matched:.2%} of torch's {parity.boxes} boxes repeated, mAP50 {scores.map50:.3f}, "
        f"mAP50-95 {scores.map50_95:.3f} on {parity.frames} frames, {report.measurement.latency_ms:.1f} ms"
    )
    if report.next_step is not None:
        click.echo(f"next: {report.next_step}")
