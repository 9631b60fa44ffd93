"""From a camera and a handful of examples to a detector that runs on the device itself.

    import edgeloop

    detector = edgeloop.Detector("parts.onnx")
    for result in edgeloop.results("0", detector):
        print(result.detections)

Names are imported when they are first asked for: a device that only runs a detector never imports what
labeling and training need. Importing edgeloop changes nothing in the process around it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeloop.edge.draw.annotate import annotate
    from edgeloop.edge.frame import Frame, Source
    from edgeloop.edge.loop.pipeline import results, run
    from edgeloop.edge.loop.summary import RunSummary
    from edgeloop.edge.result import Result, Sink
    from edgeloop.edge.runtime.detector import Detector
    from edgeloop.edge.sources import open_source
    from edgeloop.edge.sources.live import LivePolicy, LiveSource
    from edgeloop.edge.tracking.counter import ZoneCounter
    from edgeloop.edge.tracking.tracker import Tracker, open_tracker
    from edgeloop.edge.tracking.zone_file import read_zones
    from edgeloop.export.export_options import ExportOptions
    from edgeloop.export.exporter import export_bundle
    from edgeloop.export.train.training import train_detector
    from edgeloop.export.train_options import TrainOptions
    from edgeloop.labeling.inputs.plan import LabelPlan
    from edgeloop.labeling.job import label_frames
    from edgeloop.models.detections import Detections
    from edgeloop.models.errors import (
        DataError,
        EdgeloopError,
        ModelError,
        NoInputError,
        UnavailableError,
        UsageError,
    )
    from edgeloop.models.masks import Masks

    __version__: str

__all__ = [
    "DataError",
    "Detections",
    "Detector",
    "EdgeloopError",
    "ExportOptions",
    "Frame",
    "LabelPlan",
    "LivePolicy",
    "LiveSource",
    "Masks",
    "ModelError",
    "NoInputError",
    "Result",
    "RunSummary",
    "Sink",
    "Source",
    "Tracker",
    "TrainOptions",
    "UnavailableError",
    "UsageError",
    "ZoneCounter",
    "annotate",
    "export_bundle",
    "label_frames",
    "open_source",
    "open_tracker",
    "read_zones",
    "results",
    "run",
    "train_detector",
]

_MODULES = {
    "models.errors": (
        "DataError",
        "EdgeloopError",
        "ModelError",
        "NoInputError",
        "UnavailableError",
        "UsageError",
    ),
    "models.detections": ("Detections",),
    "models.masks": ("Masks",),
    "edge.draw.annotate": ("annotate",),
    "edge.frame": ("Frame", "Source"),
    "edge.loop.pipeline": ("results", "run"),
    "edge.loop.summary": ("RunSummary",),
    "edge.result": ("Result", "Sink"),
    "edge.runtime.detector": ("Detector",),
    "edge.sources": ("open_source",),
    "edge.sources.live": ("LivePolicy", "LiveSource"),
    "edge.tracking.counter": ("ZoneCounter",),
    "edge.tracking.tracker": ("Tracker", "open_tracker"),
    "edge.tracking.zone_file": ("read_zones",),
    "export.export_options": ("ExportOptions",),
    "export.train_options": ("TrainOptions",),
    "labeling.inputs.plan": ("LabelPlan",),
    "labeling.job": ("label_frames",),
    "export.train.training": ("train_detector",),
    "export.exporter": ("export_bundle",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name == "__version__":
        return version("edgeloop")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"edgeloop.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, also those that are not imported yet."""
    return sorted({*globals(), *__all__, "__version__"})
