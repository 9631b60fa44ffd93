"""`edgeloop history`: where each generation of a loop came from, and what it gained."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.labeling.improvement.deployment import follow_store
from edgeloop.labeling.lineage.family_tree import read_history, tree_lines
from edgeloop.labeling.lineage.generation_lock import generation_lock
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.models.errors import DataError

__all__ = ["history"]


_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("loop", type=_FOLDER)
@click.option(
    "--state",
    type=_FOLDER,
    metavar="DIR",
    help="State folder of a service: a generation that it promoted is in use from now on, one that it gave "
    "up is refused.",
)
@click.option("--name", metavar="NAME", help="Name of the model in the configuration, with --state.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def history(loop: Path, state: Path | None, name: str | None, as_json: bool) -> None:
    """Show the generations of a loop as a family tree.

    LOOP is a folder that `edgeloop teach` made. Each line has the training frames, the score on held-out
    frames before and after, old ones and new ones, and the verdict. The files of all generations are compared
    with the digests in their records; if one was changed, the exit code is 65.
    """
    if (state is None) != (name is None):
        raise click.UsageError("--state and --name go together: the service's folder, and the model in it")
    opened = LoopFolder.open(loop)
    if state is not None and name is not None:
        with generation_lock(opened):
            told = follow_store(opened, ModelStore(state, name))
        if told is not None:
            click.echo(told, err=True)
    found = read_history(opened)
    if as_json:
        document = {
            "current": found.current,
            "generations": [each.model_dump(mode="json") for each in found.generations],
            "changed": list(found.changes),
            "new_exemplars": found.new_exemplars,
        }
        click.echo(json.dumps(document))
    else:
        click.echo("\n".join(tree_lines(found)) if found.generations else "no generation yet")
    for line in found.changes:
        click.echo(line, err=True)
    if found.changes:
        raise DataError(f"{loop}: {len(found.changes)} files or links are not what they were")
