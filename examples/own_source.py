"""Detect in images from anywhere: any iterable of images is a source.

    python examples/own_source.py parts.onnx belt.mp4

Here a function reads a video and yields the right half of each image.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

import edgeloop


def right_halves(video: str) -> Iterator[NDArray[np.uint8]]:
    """Yield the right half of each image of a video (HxWx3 uint8, BGR)."""
    capture = cv2.VideoCapture(video)
    if not capture.isOpened():
        raise SystemExit(f"{video}: cannot be opened")
    while (picture := capture.read())[0]:
        image = picture[1]
        yield image[:, image.shape[1] // 2 :]


if __name__ == "__main__":
    model, video = sys.argv[1:]
    detector = edgeloop.Detector(model)
    for result in edgeloop.results(right_halves(video), detector):
        names = [detector.names[class_id] for class_id in result.detections.class_id]
        print(result.frame.index, names, f"{result.timings.latency_ms:.1f} ms")
