"""`edgeloop promote`: the candidate becomes the current model, if the rules hold."""

from __future__ import annotations

import click

from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.service.store.shadow_figures import ShadowFigures, promotion_rules, read_figures
from edgeloop.edge.service.store.store_options import StorePlace, place_options
from edgeloop.models.errors import DataError

__all__ = ["promote"]


@click.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Promote it although a rule does not hold; this is recorded.")
@place_options
def promote(place: StorePlace, force: bool) -> None:
    """Make the candidate the current model, if the rules of [probation] hold.

    NAME is the name of the model in the configuration. Each rule is shown with what it expects and got. If
    one does not hold, the exit code is 65, and nothing changes. The model before it is kept and returns by
    itself if the new one fails within its probation.
    """
    store = place.store
    state = store.read()
    if state.candidate is None or state.current is None:
        raise DataError(f"models.{store.name}: there is no candidate; edgeloop shadow brings one")
    candidate = state.candidate.digest
    figures = read_figures(store.figures_file)
    if figures is None or (figures.current, figures.candidate) != (state.current.digest, candidate):
        figures = ShadowFigures(current=state.current.digest, candidate=candidate)  # of other models
    rules = list(promotion_rules(figures, place.probation))
    for rule in rules:
        click.echo(f"{'holds' if rule.holds else 'FAILS'}  {rule}")
    broken = [rule for rule in rules if not rule.holds]
    if broken and not force:
        raise DataError(f"models.{store.name}: not promoted: {broken[0]}")
    if place.config is not None:
        provider, allow_cpu = place.model.provider, place.model.allow_cpu
        place.check(Detector(store.path(state.candidate), provider=provider, allow_cpu=allow_cpu).names)
    state = store.promote(candidate, forced=bool(broken))
    click.echo(
        f"{store.name}: {candidate[:12]} is current, on probation for {place.probation.minutes:g} minutes"
    )
