"""`edgeloop install`: a model file into the store of this device."""

from __future__ import annotations

from pathlib import Path

import click

from edgeloop.edge.service.store.store_options import StorePlace, admission_options, place_options
from edgeloop.models.bundle.document import WeightPrecision

__all__ = ["install"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@admission_options
@place_options
def install(model: Path, place: StorePlace, unproven: bool, tolerance: WeightPrecision | None) -> None:
    """Verify a model on this device and make it the current one of the service.

    MODEL is an ONNX file, or one of another engine with its facts beside it. Its checksum and golden sample
    must be right on this device, and with --config it must have every class that the cameras name; otherwise
    the exit code is 65, and nothing changes. A running service swaps to it between two frames. The model
    before it is kept and returns by itself if the new one fails within its probation.
    """
    admitted = place.admit(model, tolerance=tolerance, unproven=unproven)
    state = place.store.install(admitted.model, admitted.content, admitted.facts)
    text = f"{place.store.name}: {admitted.model.digest[:12]} ({admitted.model.origin}) is current"
    if state.probation is not None and state.previous is not None:
        text += (
            f", on probation for {place.probation.minutes:g} minutes; {state.previous.digest[:12]} is kept"
        )
    click.echo(text)
