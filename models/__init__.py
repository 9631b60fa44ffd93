"""What a model is: its detections, the letterbox before it, the decoding after it, and its metadata."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.detections import Detections
    from models.heads import decode
    from models.letterbox import Letterbox
    from models.spec import ModelSpec, SpecOverrides

__all__ = ["Detections", "Letterbox", "ModelSpec", "SpecOverrides", "decode"]

_HOMES = {
    "Detections": "models.detections",
    "Letterbox": "models.letterbox",
    "ModelSpec": "models.spec",
    "SpecOverrides": "models.spec",
    "decode": "models.heads",
}


def __getattr__(name: str) -> object:
    # Names are imported when they are asked for: `edgeloop --help` needs the errors of this package alone,
    # and opencv and pydantic would take it half a second.
    if name not in _HOMES:
        raise AttributeError(f"module 'models' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
