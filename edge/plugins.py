"""Plug-ins: what other packages offer as entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from edgeloop.models.errors import UnavailableError

__all__ = ["load_plugin"]


def load_plugin(group: str, name: str) -> Any | None:
    """Load the object of an entry point.

    Args:
        group: Group of the entry point, "edgeloop.sources" or "edgeloop.sinks".
        name: Name of the entry point.

    Returns:
        The object, of whatever type its package made it; None if no installed package has the name.

    Raises:
        UnavailableError: The package cannot be imported.
    """
    for plugin in entry_points(group=group, name=name):
        try:
            return plugin.load()
        except Exception as error:  # whatever happens while the code of others is imported
            raise UnavailableError(
                f"plug-in {name} ({plugin.value}) cannot be loaded: {type(error).__name__}: "
                + str(error).partition("\n")[0]
            ) from error
    return None
