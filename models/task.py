"""Tasks of models and of datasets."""

from __future__ import annotations

from typing import Literal

__all__ = ["Task"]

Task = Literal["detect", "segment"]
"""Boxes, or boxes with a mask of each object; the names are those of Ultralytics."""
