"""Options of the commands whose work can be shared out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

__all__ = ["workers_options"]

F = TypeVar("F", bound=Callable[..., object])


def workers_options(command: F) -> F:
    """Add --workers and --ray."""
    workers = click.option(
        "--workers",
        type=click.IntRange(1),
        metavar="N",
        help="Processes that share the work, on this machine or with --ray on the cluster; 1 takes the least "
        "memory. The result is the same.  [default: a thread of this process on each core, 16 at most; with "
        "--ray all of the cluster]",
    )
    ray = click.option(
        "--ray",
        metavar="ADDRESS|auto",
        help="Ray cluster that shares the work; auto for the one that runs on this machine.",
    )
    return workers(ray(command))
