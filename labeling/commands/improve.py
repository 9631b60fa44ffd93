"""`edgeloop improve`: the next generation of a loop, from what the device kept."""

from __future__ import annotations

from pathlib import Path

import click

from edgeloop.edge.cli.float_range import FloatRange
from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.export.export_options import PRECISIONS, Precision
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.models.errors import DataError

__all__ = ["improve"]

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(context_settings={"show_default": True})
@click.argument("loop", type=_FOLDER)
@click.option(
    "--ring", type=_FOLDER, help="Ring of frames of the device, or a copy of it.  [default: LOOP/ring]"
)
@click.option(
    "--frames",
    type=click.IntRange(1),
    default=200,
    metavar="N",
    help="Maximum number of frames to take from the ring: half at random, half those that teach most.",
)
@click.option(
    "--ask",
    is_flag=True,
    help="Stop after labeling if labels are unsure, and name the command that shows them. The same command "
    "goes on afterwards, with what was decided.",
)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training images, as for train.")
@click.option(
    "--time-limit",
    "time_limit_s",
    type=FloatRange(0, min_open=True),
    metavar="S",
    help="Train for S seconds.",
)
@click.option(
    "--rehearse",
    type=click.IntRange(0),
    default=1000,
    metavar="N",
    help="Maximum number of old training frames to learn from again, drawn at random. Fewer train faster, "
    "but the detector may forget what they show.",
)
@click.option(
    "--tolerance",
    type=FloatRange(0, 1),
    default=0.02,
    help="Loss of mAP50 on old held-out frames that is accepted. Higher values let more generations pass.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    help="Numeric precision of the bundle, as for export.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed.")
@click.option(
    "--state",
    type=_FOLDER,
    metavar="DIR",
    help="State folder of the service that gets the bundle in shadow; edgeloop promote makes it the current "
    "one if the rules of the service hold.",
)
@click.option("--name", metavar="NAME", help="Name of the model in the configuration, with --state.")
@click.option("--json", "as_json", is_flag=True, help="Print the record of the generation as JSON.")
def improve(
    loop: Path,
    ring: Path | None,
    frames: int,
    ask: bool,
    epochs: int | None,
    time_limit_s: float | None,
    rehearse: int,
    tolerance: float,
    precision: Precision,
    seed: int,
    state: Path | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Train the next generation of a loop from frames that the device kept.

    LOOP is a folder that `edgeloop teach` made. New frames are labeled by its teacher; the training begins
    with the detector in use and rehearses what it knew. The new bundle takes over if it is better on new
    held-out frames and no worse on old ones; otherwise the current one stays, and the exit code is 65. To
    resume an interrupted run, give the same command again.
    """
    if (state is None) != (name is None):
        raise click.UsageError("--state and --name go together: the service's folder, and the model in it")
    # Loads torch; --help does without.
    from edgeloop.labeling.improvement import improve_loop, make_generation

    settings = make_generation.GenerationOptions(
        epochs=epochs,
        time_limit_s=time_limit_s,
        rehearsed=rehearse,
        tolerance=tolerance,
        most_missing=improve_loop.MOST_MISSING,
        precision=precision,
        seed=seed,
        progress=progress_bar,
    )
    store = None if state is None or name is None else ModelStore(state, name)
    options = improve_loop.ImproveOptions(ring, frames, ask=ask, store=store, generation=settings)
    made = improve_loop.improve_loop(
        LoopFolder.open(loop), options, tell=lambda line: click.echo(line, err=True)
    )
    if isinstance(made, improve_loop.Asked):
        click.echo(
            f"{made.labels} labels on {made.frames} frames are unsure. Decide on them, then give the same "
            f"command again:\n  {made.command}",
            err=True,
        )
        return
    if as_json:
        click.echo(made.model_dump_json())
    if made.verdict == "refused":
        raise DataError(f"generation {made.number} is not used: {made.reason}")
