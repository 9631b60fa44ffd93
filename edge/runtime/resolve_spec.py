"""How a loaded model wants to be run."""

from __future__ import annotations

from edgeloop.edge.runtime.session import Session
from edgeloop.models.errors import ModelError
from edgeloop.models.spec import ModelSpec, SpecOverrides

__all__ = ["read_spec"]


def read_spec(
    session: Session, overrides: SpecOverrides | None = None, confidence: float | None = None
) -> ModelSpec:
    """Find out how a loaded model wants to be run.

    Args:
        session: the model.
        overrides: what the user says of it.
        confidence: threshold that the user wants.

    Returns:
        The spec.

    Raises:
        ModelError: the model is of another kind, contradicts itself, or does not say enough.
    """
    facts = SpecOverrides(confidence=None if confidence is None else float(confidence))
    try:
        return ModelSpec.from_metadata(
            session.metadata,
            session.inputs,
            session.outputs,
            facts.with_defaults(overrides or SpecOverrides()),
        )
    except ModelError as error:
        raise ModelError(f"{session.path}: {error}") from error
