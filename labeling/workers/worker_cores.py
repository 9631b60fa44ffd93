"""Cores of a worker, which shares its machine with others."""

from __future__ import annotations

import cv2

from edgeloop.edge.host.hardware import limit_cores

__all__ = ["share_cores"]


def share_cores(cores: int) -> None:
    """Use so many threads in onnxruntime, OpenCV and torch; call it before torch is imported."""
    limit_cores(cores)
    cv2.setNumThreads(cores)
