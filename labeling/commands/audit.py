"""`edgeloop audit`: a person judges a sample of the labels; precision and recall with intervals."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgeloop.labeling.audit.answers import AnswerBook
    from edgeloop.labeling.audit.estimate import Estimate, Figure
    from edgeloop.labeling.audit.sample import Sample

__all__ = ["audit"]

_INTERRUPTED = 130


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--boxes",
    type=click.IntRange(1, 2000),
    default=100,
    show_default=True,
    help="Labels to look at, for precision.",
)
@click.option(
    "--frames",
    type=click.IntRange(1, 500),
    default=20,
    show_default=True,
    help="Frames to look at, for recall.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draw.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port of the page on 127.0.0.1; one that is free by default.",
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the sample as one picture (.png) instead; nothing is asked.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
def audit(
    dataset: Path,
    boxes: int,
    frames: int,
    seed: int,
    port: int | None,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Estimate how good the labels are, without ground truth.

    DATASET is a folder that `edgeloop label` wrote. Labels and frames are drawn at random and shown on a page
    that this machine alone can open; you accept or reject each box, and mark what was missed on each frame.
    Answers are kept in DATASET/audit.json as they come: the same command goes on where you were, or prints
    the figures again. Labels that a person drew are not asked about.
    """
    from edgeloop.edge.cli.progress import progress_bar
    from edgeloop.labeling.audit.answers import open_answers
    from edgeloop.labeling.audit.estimate import estimate
    from edgeloop.labeling.audit.sample import draw_sample
    from edgeloop.labeling.audit.sheet import check_sheet, write_sheet

    if sheet is not None:
        if sheet.suffix.lower() != ".png":
            raise click.BadParameter(f"{sheet}: expected a name that ends in .png", param_hint="--sheet")
        if as_json or port is not None:
            raise click.UsageError("--sheet asks nothing; --json and --port belong to the page")
        check_sheet(sheet)
    with progress_bar(None, "Drawing") as advance:
        sample = draw_sample(dataset, boxes=boxes, frames=frames, seed=seed, advance=advance)
    if sheet is not None:
        write_sheet(sample, sheet)
        click.echo(
            f"{sheet}: {len(sample.boxes)} boxes and {len(sample.frames)} frames of {dataset}", err=True
        )
        return
    with open_answers(sample) as book:
        interrupted = not book.complete and _ask(sample, book, port or 0)
        found = estimate(sample, book.answers)
    if as_json:
        click.echo(json.dumps(_as_json(sample, found)))
    else:
        click.echo("\n".join(_as_text(sample, found)))
    if interrupted:
        click.get_current_context().exit(_INTERRUPTED)


def _ask(sample: Sample, book: AnswerBook, port: int) -> bool:
    """Serve the page until all is answered, Done is pressed, or a signal comes; whether one came."""
    from edgeloop.labeling.audit.estimate import estimate
    from edgeloop.labeling.audit.page import Page

    page = Page(sample, book, lambda: _as_text(sample, estimate(sample, book.answers)), port)
    done = len(book.answers.boxes) + len(book.answers.frames)
    click.echo(f"{done} of {len(sample.boxes) + len(sample.frames)} answered. Open {page.url}", err=True)
    click.echo("Ctrl-C ends it and keeps the answers.", err=True)
    # A shell lets what it runs in the background ignore Ctrl-C's signal, so it is asked for.
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.default_int_handler) for number in signals}
    try:
        page.serve()
    except KeyboardInterrupt:
        return True
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return False


def _as_text(sample: Sample, found: Estimate) -> list[str]:
    from edgeloop.labeling.audit.estimate import ASSUMPTIONS

    width = max(map(len, ("all classes", *sample.names)))
    lines = [f"{'precision':<10}{'all classes':<{width}}  {_share(found.precision, 'box', 'boxes')}"]
    lines += [
        f"{'':<10}{name:<{width}}  {_share(figure, 'box', 'boxes')}"
        for name, figure in found.by_class.items()
    ]
    recall = _share(found.recall, "frame", "frames")
    if found.recall.value is not None:
        recall += f"; about {found.recall.hits:.0f} right labels, {found.missed} missed"
    lines.append(f"{'recall':<10}{'all classes':<{width}}  {recall}")
    lines += [
        "",
        f"From {found.precision.answers} of {sample.labels} labels and {found.recall.answers} of "
        f"{sample.images} frames, drawn at random (seed {sample.seed}); in brackets 95 % intervals.",
    ]
    return lines + list(ASSUMPTIONS)


def _share(figure: Figure, one: str, many: str) -> str:
    from edgeloop.labeling.audit.estimate import MIN_ANSWERS

    counted = f"{figure.answers} {one if figure.answers == 1 else many}"
    if figure.value is not None:
        return f"{figure.value:.3f}  [{figure.low:.3f}, {figure.high:.3f}]  {counted}"
    if figure.answers >= MIN_ANSWERS:
        return f"no figure: {counted} with nothing to find, or too few boxes answered"
    return f"no figure: {counted} answered, at least {MIN_ANSWERS} needed"


def _as_json(sample: Sample, found: Estimate) -> dict[str, object]:
    from edgeloop.labeling.audit.estimate import ASSUMPTIONS

    return {
        "dataset": str(sample.dataset),
        "digest": sample.digest,
        "seed": sample.seed,
        "labels": sample.labels,
        "images": sample.images,
        **asdict(found),
        "level": 0.95,
        "assumptions": ASSUMPTIONS,
    }
