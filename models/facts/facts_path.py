"""Path of the facts of a model file; without pydantic, which loads beside the model."""

from __future__ import annotations

from pathlib import Path

__all__ = ["facts_path"]


def facts_path(model: Path) -> Path:
    """Path of the facts of a model file."""
    return model.with_name(f"{model.name}.json")
