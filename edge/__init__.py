"""The runtime: frames in, detections out, on the device itself.

    from edgeloop.edge import Detector, open_source, results

    with open_source("0") as camera:
        for result in results(camera, Detector("x.onnx")):
            print(result.detections.xyxy, result.timings.latency_ms)

Names are imported when they are first asked for, so that the command line starts without OpenCV and
onnxruntime.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeloop.edge.frame import Frame
    from edgeloop.edge.loop.pipeline import Result, Timings, results
    from edgeloop.edge.runtime.detector import Detector
    from edgeloop.edge.sources import Source, open_source

if __name__ != "edgeloop.edge":
    # pytest and `python -m` put the root of a checkout on sys.path: refuse to load every class twice.
    raise ImportError(f"import edgeloop.edge, not {__name__}")

__all__ = ["Detector", "Frame", "Result", "Source", "Timings", "open_source", "results"]

# onnxruntime reports on its use from its import on, unless it is told not to before that.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_HOMES = {
    "Detector": "edgeloop.edge.runtime.detector",
    "Frame": "edgeloop.edge.frame",
    "Result": "edgeloop.edge.loop.pipeline",
    "Source": "edgeloop.edge.sources",
    "Timings": "edgeloop.edge.loop.pipeline",
    "open_source": "edgeloop.edge.sources",
    "results": "edgeloop.edge.loop.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
