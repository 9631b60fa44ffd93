"""Detector of a worker: a model file, or one that a plug-in opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeloop.edge.engines.open_engine import model_digest
from edgeloop.edge.plugins import call_plugin, load_plugin
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.frame_detector import FrameDetector
from edgeloop.edge.service.worker.worker_messages import LoadRequest
from edgeloop.models.errors import UnavailableError
from edgeloop.models.weights.digest import file_sha256

__all__ = ["open_worker_detector"]

_PLUGIN_SUFFIX = ".json"


def open_worker_detector(request: LoadRequest) -> tuple[FrameDetector, str]:
    """Open the detector of a request, optimized for cameras.

    A file NAME.json is opened by the plug-in NAME of the group `edgeloop.detectors`: a function `(path: Path,
    threads: int | None, confidence: float | None) -> FrameDetector`.

    Returns:
        The detector, and the SHA-256 that names it.

    Raises:
        UnavailableError: The plug-in is not installed.
        EdgeloopError: The file cannot be used.
    """
    path = request.file
    if path.suffix == _PLUGIN_SUFFIX:
        return _open_by_plugin(path, request), file_sha256(path)
    detector = Detector(
        path,
        provider=request.provider,
        confidence=request.confidence,
        overrides=request.overrides,
        allow_cpu=request.allow_cpu,
        threads=request.threads,
        live=True,
    )
    return detector, model_digest(path)


def _open_by_plugin(path: Path, request: LoadRequest) -> FrameDetector:
    factory: Any = load_plugin("edgeloop.detectors", path.stem)
    if factory is None:
        raise UnavailableError(f"{path}: no installed package opens it; pip install 'edgeloop[label]'")
    detector: FrameDetector = call_plugin(path.stem, factory, path, request.threads, request.confidence)
    return detector
