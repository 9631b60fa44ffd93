"""`edgeloop rollback`: the previous model becomes the current one again."""

from __future__ import annotations

import click

from edgeloop.edge.service.store.store_options import StorePlace, place_options

__all__ = ["rollback"]


@click.command()
@click.argument("name")
@place_options
def rollback(place: StorePlace) -> None:
    """Make the previous model the current one again.

    NAME is the name of the model in the configuration. The model that it replaces leaves the store. A running
    service swaps between two frames.
    """
    state = place.store.roll_back()
    digest = "" if state.current is None else state.current.digest
    click.echo(f"{place.store.name}: {digest[:12]} is current")
