"""Check for an optional trainer before it is imported."""

from __future__ import annotations

from importlib.util import find_spec

from edgeloop.models.errors import UnavailableError

__all__ = ["require_ultralytics"]


def require_ultralytics(need: str) -> None:
    """Check that ultralytics is installed.

    Args:
        need: Beginning of the error message: what asks for the package.

    Raises:
        UnavailableError: It is not installed.
    """
    if find_spec("ultralytics") is None:
        raise UnavailableError(f"{need}, which is not installed; run: pip install 'edgeloop[ultralytics]'")
