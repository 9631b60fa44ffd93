"""`edgeloop bench`: the loop against the bare model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeloop.edge.bench.peer import PEERS
from edgeloop.edge.cli.options import model_options, stated_options
from edgeloop.edge.host.outputs import check_target
from edgeloop.models.errors import DataError, UsageError

if TYPE_CHECKING:
    from edgeloop.edge.bench.benchmark import BenchReport

__all__ = ["bench"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("source", default="synth:conveyor")
@click.option("--frames", type=click.IntRange(2), default=60, show_default=True, help="Frames in a turn.")
@click.option(
    "--turns", type=click.IntRange(1), default=9, show_default=True, help="Turns of model and loop."
)
@click.option("--against", type=click.Choice(PEERS), help="Run the same by this, too, in turns.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the figures into a PNG.")
@click.option("--overwrite", is_flag=True, help="Replace a plot that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@model_options
def bench(
    model: Path,
    source: str,
    frames: int,
    turns: int,
    against: str | None,
    plot: Path | None,
    overwrite: bool,
    as_json: bool,
    **model_settings: Any,
) -> None:
    """Measure the loop against the bare model.

    onnxruntime alone, with its own settings, and the whole loop take turns, and the ratio of their rates says
    what reading, preparing and decoding cost. SOURCE is as for `edgeloop run`; the default scene is recorded
    first, so that drawing it costs nothing. The time to the first detection and the memory are those of
    `edgeloop run` in a new process. `--against ultralytics` lets `yolo predict` run the same file on the same
    footage, three times each in new processes that take turns. With a live SOURCE, which paces the loop, how
    many CPU threads serve it best is measured anew, and kept for `edgeloop run`.
    """
    import cv2

    from edgeloop.edge.bench.benchmark import PEER_TURNS
    from edgeloop.edge.bench.benchmark import bench as measure
    from edgeloop.edge.bench.chart import draw_report
    from edgeloop.edge.cli.progress import progress_bar
    from edgeloop.edge.runtime.detector import Detector
    from edgeloop.edge.runtime.thread_count import forget
    from edgeloop.edge.source_name import is_footage

    _check_plot(plot, overwrite)
    if not is_footage(source):
        forget(model)
    with progress_bar(turns + (PEER_TURNS if against else 0), "Turns") as advance:
        report = measure(
            partial(Detector, model, **model_settings),
            source,
            frames=frames,
            turns=turns,
            against=against,
            options=stated_options(click.get_current_context()),
            on_turn=lambda: advance(1),
        )
    if plot is not None and not cv2.imwrite(str(plot), draw_report(report)):
        raise DataError(f"plot {plot}: cannot write it")
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return
    for topic, text in _lines(report):
        click.echo(f"{topic:<17}  {text}")


def _lines(report: BenchReport) -> Iterator[tuple[str, str]]:
    share = "" if report.provider_share is None else f", {int(report.provider_share * 100)} % of nodes"
    yield "model", f"{report.model} on {report.provider}{share}"
    yield "source", f"{report.source}, {len(report.turns)} turns of {report.frames} frames"
    yield "bare model", f"{report.model_fps:.1f} fps"
    several = f", {report.parallel} frames in the model at a time" if report.parallel > 1 else ""
    yield "loop", f"{report.loop_fps:.1f} fps{several}"
    ratios = [turn.loop_fps / turn.model_fps for turn in report.turns]
    yield "ratio", f"{report.ratio:.3f}  (turns {min(ratios):.3f} to {max(ratios):.3f})"
    for stage, spent_ms in report.stages_ms.items():
        yield f"  {stage}", f"{spent_ms:.2f} ms"
    if report.latency_ms:
        p = report.latency_ms
        yield "latency", f"p50 {p.p50:.1f}  p95 {p.p95:.1f}  p99 {p.p99:.1f} ms from capture to result"
    yield "first detection", f"{report.first_detection_s:.2f} s after the start of a process"
    yield "peak memory", f"{report.peak_memory_mb:.0f} MB"
    if report.against:
        ours, theirs = report.against.ours, report.against.theirs
        yield "against", f"{report.against.peer}, {report.against.turns} new processes each, medians"
        yield "  rate", f"{ours.fps:.1f} to {theirs.fps:.1f} fps, {ours.fps / theirs.fps:.2f} times"
        sooner = theirs.first_detection_s / ours.first_detection_s
        seconds = f"{ours.first_detection_s:.2f} to {theirs.first_detection_s:.2f} s"
        yield "  first detection", f"{seconds}, {sooner:.1f} times sooner"
        part = ours.peak_memory_mb / theirs.peak_memory_mb
        yield (
            "  peak memory",
            f"{ours.peak_memory_mb:.0f} to {theirs.peak_memory_mb:.0f} MB, {part:.2f} of it",
        )


def _check_plot(path: Path | None, overwrite: bool) -> None:
    if path is None:
        return
    if path.suffix.lower() != ".png":
        raise UsageError(f"plot {path}: unknown suffix; expected .png")
    check_target("plot", path, overwrite=overwrite)
