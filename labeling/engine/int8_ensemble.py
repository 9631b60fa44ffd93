"""8-bit form of an ensemble, for CPUs that run it faster."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeloop.export.check.parity import SURE, disagreement
from edgeloop.export.graph.stages import decoding_nodes
from edgeloop.export.quantize.activation_ranges import measure_ranges
from edgeloop.export.quantize.convert import to_int8
from edgeloop.labeling.engine.ensemble import Ensemble

__all__ = ["fastest_graph"]

_MAX_DISAGREEMENT = 0.05  # with float32; every 8-bit box moves by a pixel or two
_MIN_SPEEDUP = 1.2
_ROUNDS = 5  # of timing


def fastest_graph(graph: Path, side: int, images: Sequence[NDArray[np.uint8]]) -> Path:
    """Quantize an ensemble to 8 bits, and choose it if it is faster on this CPU and finds the same objects.

    Args:
        graph: As `write_ensemble` writes it; the 8-bit graph is written beside it.
        side: Long side of the images, px.
        images: HxWx3 uint8 BGR, to measure the ranges of activations on.

    Returns:
        The 8-bit graph, or `graph`.
    """
    in_float = Ensemble(graph, side)
    found = [in_float.detect(image) for image in images]
    if not any((each.confidence >= SURE).any() for each in found):
        return graph  # without a sure box nothing can be compared
    path = graph.with_name(f"{graph.stem}-int8.onnx")
    model = onnx.load(graph)
    ranges = measure_ranges(graph, (view for image in images for view in in_float.views(image)), "minmax")
    onnx.save(to_int8(model, ranges, decoding_nodes(model.graph)), path)
    in_int8 = Ensemble(path, side)
    same = disagreement(found, [in_int8.detect(image) for image in images]) <= _MAX_DISAGREEMENT
    return path if same and _speedup(in_float, in_int8, images[0]) >= _MIN_SPEEDUP else graph


def _speedup(slow: Ensemble, fast: Ensemble, image: NDArray[np.uint8]) -> float:
    """Ratio of the times for an image, measured in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for ensemble, spent in zip((slow, fast), times, strict=True):
            began = time.perf_counter()
            ensemble.detect(image)
            spent.append(time.perf_counter() - began)
    return statistics.median(times[0]) / statistics.median(times[1])
