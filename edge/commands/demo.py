"""`edgeloop demo`: the whole loop on a built-in scene with ground truth."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click

from edgeloop.edge.cli.table import table
from edgeloop.models.errors import DataError

__all__ = ["demo"]


@click.command(context_settings={"show_default": True})
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("demo-out"), help="Folder for all results."
)
@click.option("--overwrite", is_flag=True, help="Replace the folder of an earlier demo.")
@click.option("--seed", default=7, type=click.IntRange(0), metavar="N", help="Random seed.")
@click.option("--size", default="640x480", metavar="WxH", help="Width and height of the camera image, px.")
@click.option("--frames", default=240, type=click.IntRange(20), metavar="N", help="Frames to collect.")
@click.option(
    "--train-seconds",
    default=110,
    type=click.IntRange(1),
    metavar="S",
    help="Time limit of the training, seconds.",
)
@click.option(
    "--imgsz",
    default=320,
    type=click.IntRange(64),
    metavar="N",
    help="Side of the detector's input, px. Higher values find smaller objects but run slower.",
)
def demo(
    out: Path, overwrite: bool, seed: int, size: str, frames: int, train_seconds: int, imgsz: int
) -> None:
    """Run the whole loop on a built-in scene: no camera, no download.

    Collects frames of a conveyor belt, labels them with SAM from boxes on five of them, trains a detector,
    exports it, runs it live on later frames, and scores it against the ground truth of the scene. The folder
    --out then holds report.json, overview.png, annotated.mp4 and everything in between.
    """
    from edgeloop.edge.demo import DemoPlan, run_demo  # loads onnxruntime and OpenCV; --help does without

    _prepare(out, overwrite=overwrite)
    plan = DemoPlan(
        out=out, seed=seed, size=_parse_size(size), frames=frames, train_seconds=train_seconds, imgsz=imgsz
    )
    click.echo(_text(run_demo(plan)))
    click.echo(
        f"\nLook at {out / 'overview.png'} and {out / 'annotated.mp4'}; all figures: {out / 'report.json'}"
    )


def _prepare(out: Path, *, overwrite: bool) -> None:
    """Create an empty folder; a folder with contents is only emptied if they are an earlier demo's."""
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        earlier = (out / "exemplars.json").is_file() or (out / "frames").is_dir()
        if not (overwrite and earlier):
            what = "an earlier demo" if earlier else "something else than an earlier demo"
            hint = "--overwrite replaces it" if earlier else "name another folder with --out"
            raise DataError(f"{out}: expected a new or empty folder, it holds {what}; {hint}")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)


def _parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise click.BadParameter(f"expected WIDTHxHEIGHT such as 640x480, got {text!r}", param_hint="--size")
    return int(width), int(height)


def _text(report: dict[str, Any]) -> str:
    labels, detector, run, seconds = (report[key] for key in ("labels", "detector", "run", "seconds"))
    results = {
        "collect": "{frames} frames, boxes drawn on {exemplar_frames}".format(**report["plan"]),
        "label": "mAP50 {map50:.3f}  precision {precision:.3f}  recall {recall:.3f}".format(**labels),
        "train": "detector mAP50 {map50:.3f}  mAP50-95 {map50_95:.3f}  on later frames".format(**detector),
        "export": "{matched:.1%} of torch's boxes repeated by onnxruntime".format(**report["parity"]),
        "run": "{:.1f} fps  latency p50 {p50:.1f} ms  p95 {p95:.1f} ms".format(
            run["fps"], **run["latency_ms"]
        ),
        "score": "",
    }
    return "\n".join(
        (
            "\nedgeloop demo: five frames of boxes to a detector on the device\n",
            table(
                "<><",
                ("stage", "seconds", "measured against the scene's ground truth"),
                [(stage, f"{seconds[stage]:.0f}", text) for stage, text in results.items()],
                [("total", f"{seconds['total']:.0f}", "")],
            ),
        )
    )
