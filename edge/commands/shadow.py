"""`edgeloop shadow`: a candidate beside the current model."""

from __future__ import annotations

from pathlib import Path

import click

from edgeloop.edge.service.store.store_options import StorePlace, admission_options, place_options
from edgeloop.models.bundle.document import WeightPrecision

__all__ = ["shadow"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@admission_options
@place_options
def shadow(model: Path, place: StorePlace, unproven: bool, tolerance: WeightPrecision | None) -> None:
    """Verify a model and let the service compare it with the current one.

    MODEL is checked as by `edgeloop install`. The running service gives it every k-th frame beside the
    current model, whose results alone count. `edgeloop promote` shows the figures and makes it the current
    one.
    """
    admitted = place.admit(model, tolerance=tolerance, unproven=unproven)
    place.store.shadow(admitted.model, admitted.content, admitted.facts)
    click.echo(
        f"{place.store.name}: {admitted.model.digest[:12]} ({admitted.model.origin}) is in shadow; it sees "
        f"one frame in {place.probation.shadow_every}, and needs {place.probation.min_frames} to be promoted"
    )
