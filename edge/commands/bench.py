"""`edgeloop bench`: the loop against the bare model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeloop.edge.cli.options import model_options, stated_options
from edgeloop.edge.cli.progress import progress_bar

if TYPE_CHECKING:
    from edgeloop.edge.bench.benchmark import BenchReport

__all__ = ["bench"]


@click.command(context_settings={"show_default": True})
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("source", default="synth:conveyor")
@click.option(
    "--frames",
    type=click.IntRange(2),
    default=60,
    metavar="N",
    help="Frames per turn. More make each turn's rate steadier.",
)
@click.option(
    "--turns",
    type=click.IntRange(1),
    default=9,
    metavar="N",
    help="Turns of model and loop. More make the median steadier.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@model_options
def bench(model: Path, source: str, frames: int, turns: int, as_json: bool, **settings: Any) -> None:
    """Measure the loop against the bare model.

    The bare model (the engine of the file with its default settings) and the whole loop take turns; the ratio
    of their rates is the cost of reading, preparing and decoding. Time to the first detection and peak memory
    are those of `edgeloop run` in a new process.

    SOURCE is as for `edgeloop run`. The default scene is recorded first, so that rendering costs nothing. A
    live SOURCE sets the pace of the loop; the best number of CPU threads for it is measured anew and kept
    for `edgeloop run`.
    """
    from edgeloop.edge.bench.benchmark import bench as measure  # loads OpenCV; --help does without

    with progress_bar(turns, "Turns") as advance:
        report = measure(
            model,
            source,
            frames=frames,
            turns=turns,
            options=stated_options(click.get_current_context()),
            on_turn=lambda: advance(1),
            **settings,
        )
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return
    for topic, text in _lines(report):
        click.echo(f"{topic:<17}  {text}")


def _lines(report: BenchReport) -> Iterator[tuple[str, str]]:
    share = "" if report.provider_share is None else f", {int(report.provider_share * 100)} % of nodes"
    engine = "" if report.engine == "onnxruntime" else f"with {report.engine} "
    yield "model", f"{report.model} {engine}on {report.provider}{share}"
    yield "source", f"{report.source}, {len(report.turns)} turns of {report.frames} frames"
    threads = f"{report.threads} CPU thread{'' if report.threads == 1 else 's'}"
    yield "bare model", f"{report.model_fps:.1f} fps, on {threads} as the loop"
    several = f", {report.parallel} frames in the model at a time" if report.parallel > 1 else ""
    yield "loop", f"{report.loop_fps:.1f} fps{several}"
    ratios = [turn.loop_fps / turn.model_fps for turn in report.turns]
    yield "ratio", f"{report.ratio:.3f}  (turns {min(ratios):.3f} to {max(ratios):.3f})"
    for stage, spent_ms in report.stages_ms.items():
        yield f"  {stage}", f"{spent_ms:.2f} ms"
    if report.latency_ms:
        yield "latency", f"{report.latency_ms} from capture to result"
    yield "first detection", f"{report.first_detection_s:.2f} s after the start of a process"
    yield "peak memory", f"{report.peak_memory_mb:.0f} MB"
