"""Plug-ins: what other packages offer as entry points."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from edgeloop.edge.source_name import hide_secrets
from edgeloop.models.errors import EdgeloopError, UnavailableError

__all__ = ["call_plugin", "load_plugin"]


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


def call_plugin(name: str, factory: Callable[..., Any], *arguments: object) -> Any:
    """Call the factory of a plug-in.

    Args:
        name: Name of the entry point.
        factory: The loaded object.
        arguments: Its arguments.

    Returns:
        The result of the factory.

    Raises:
        EdgeloopError: As the factory raises it; UnavailableError for any other exception. No message shows
            what `shown_name` hides of an argument that is an address.
    """
    addresses = [argument for argument in arguments if isinstance(argument, str)]
    try:
        return factory(*arguments)
    except EdgeloopError as error:
        error.args = (hide_secrets(str(error), addresses),)
        raise error from None
    except Exception as error:  # whatever happens in the code of others
        said = hide_secrets(str(error).partition("\n")[0], addresses)
        raise UnavailableError(f"plug-in {name}: {type(error).__name__}: {said}") from None
