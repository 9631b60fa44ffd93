"""`edgeloop serve`: run cameras and models by themselves, from one configuration file."""

from __future__ import annotations

from pathlib import Path

import click

from edgeloop.edge.service.config_file import read_config
from edgeloop.edge.service.logs import start_log
from edgeloop.edge.service.service import run_service

__all__ = ["serve"]


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
def serve(config: Path) -> None:
    """Run cameras and models by themselves, until a signal ends it.

    CONFIG is a TOML file; `edgeloop check CONFIG` tries all that it names.
    """
    settings = read_config(config)
    start_log(settings.log)
    run_service(settings)
