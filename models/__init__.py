"""What a model is: its detections, the letterbox before it, the decoding after it, and its metadata."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop.models.detections import Detections
    from edgeloop.models.heads import decode
    from edgeloop.models.letterbox import Letterbox
    from edgeloop.models.spec import ModelSpec, SpecOverrides

if __name__ != "edgeloop.models":
    # pytest and `python -m` put the root of a checkout on sys.path: refuse to load every class twice.
    raise ImportError(f"import edgeloop.models, not {__name__}")

__all__ = ["Detections", "Letterbox", "ModelSpec", "SpecOverrides", "decode"]

_HOMES = {
    "Detections": "edgeloop.models.detections",
    "Letterbox": "edgeloop.models.letterbox",
    "ModelSpec": "edgeloop.models.spec",
    "SpecOverrides": "edgeloop.models.spec",
    "decode": "edgeloop.models.heads",
}


def __getattr__(name: str) -> object:
    # Names are imported when they are asked for: `edgeloop --help` needs the errors of this package alone,
    # and opencv and pydantic would take it half a second.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
