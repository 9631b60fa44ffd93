"""The runtime: frames in, detections out, on the device itself.

    from edge import Detector, open_source, results

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
    from edge.detector import Detector
    from edge.frame import Frame
    from edge.pipeline import Result, Timings, results
    from edge.sources import Source, open_source

__all__ = ["Detector", "Frame", "Result", "Source", "Timings", "open_source", "results"]

# onnxruntime reports on its use from its import on, unless it is told not to before that.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_HOMES = {
    "Detector": "edge.detector",
    "Frame": "edge.frame",
    "Result": "edge.pipeline",
    "Source": "edge.sources",
    "Timings": "edge.pipeline",
    "open_source": "edge.sources",
    "results": "edge.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
