"""Settings of a loaded model."""

from __future__ import annotations

from edgeloop.edge.engines.engine_protocol import Engine
from edgeloop.models.bundle.document import read_document
from edgeloop.models.bundle.frame_statistics import FrameStatistics
from edgeloop.models.errors import ModelError
from edgeloop.models.spec import ModelSpec, SpecOverrides

__all__ = ["read_frames", "read_spec"]


def read_spec(
    engine: Engine, overrides: SpecOverrides | None = None, confidence: float | None = None
) -> ModelSpec:
    """Merge the settings of the user and of a loaded model.

    Args:
        engine: The model.
        overrides: Settings of the user.
        confidence: Minimum score of the user, exclusive; None for the model's own.

    Returns:
        The complete settings.

    Raises:
        ModelError: The model is no supported detector, contradicts itself, or lacks a setting.
    """
    facts = SpecOverrides(confidence=None if confidence is None else float(confidence))
    try:
        return ModelSpec.from_metadata(
            engine.metadata,
            engine.inputs,
            engine.outputs,
            facts.with_defaults(overrides or SpecOverrides()),
        )
    except ModelError as error:
        raise ModelError(f"{engine.path}: {error}") from error


def read_frames(engine: Engine) -> FrameStatistics | None:
    """Read the statistics of a model's training frames.

    Args:
        engine: The model.

    Returns:
        The statistics; None if the model has none.

    Raises:
        ModelError: The document of the bundle is malformed.
    """
    try:
        document = read_document(engine.metadata)
    except ModelError as error:
        raise ModelError(f"{engine.path}: {error}") from error
    return None if document is None else document.record.frames
