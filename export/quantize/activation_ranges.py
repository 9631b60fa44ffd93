"""Calibration: ranges of a detector's activations on real frames."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.runtime.detector import Detector
from edgeloop.export.data.yolo_dataset import Dataset
from edgeloop.export.graph.graph_io import INPUT
from edgeloop.models.errors import DataError

__all__ = ["METHODS", "Frames", "Method", "Ranges", "calibrate", "measure_ranges", "training_frames"]

Method = Literal["minmax", "percentile"]
METHODS: tuple[Method, ...] = get_args(Method)

#: Minimum and maximum of each tensor, by name.
Ranges = Mapping[str, tuple[float, float]]
Image = NDArray[np.uint8]
Tensor = NDArray[np.generic]

_FRAMES = 80
_TUNING_EVERY = 5  # one frame to tune on for four to calibrate on
# A histogram of every tensor takes six times as long per frame as its extremes.
_LIMIT: dict[Method, int] = {"minmax": 64, "percentile": 24}
_BINS, _PERCENTILE = 2048, 99.99
# All tensors of a chunk are held in memory: some 20 MB per frame of 320 px.
_CHUNK = 4


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of the training part, so that the validation part stays unseen until the gate.

    Attributes:
        calibration: At most 64 images, HxWx3 uint8 BGR, for the ranges of activations.
        tuning: At most 16 others, for the choice of the method and of the stages that stay in float.
    """

    calibration: tuple[Image, ...]
    tuning: tuple[Image, ...]


def training_frames(data: Dataset) -> Frames:
    """Take frames for quantization, spread evenly over the training part.

    Raises:
        DataError: There are too few, or one cannot be read.
    """
    if len(data.train) < _TUNING_EVERY:
        raise DataError(
            f"{data.root}: {len(data.train)} images to train on; int8 needs {_TUNING_EVERY} or more of them"
        )
    rows = np.linspace(0, len(data.train) - 1, min(_FRAMES, len(data.train))).round().astype(int)
    images = [data.train[row].read() for row in rows]
    tuning = set(range(_TUNING_EVERY // 2, len(images), _TUNING_EVERY))
    return Frames(
        calibration=tuple(image for row, image in enumerate(images) if row not in tuning),
        tuning=tuple(images[row] for row in sorted(tuning)),
    )


def calibrate(float_bundle: Detector, images: Sequence[Image], method: Method) -> Ranges:
    """Measure the range of every activation.

    Args:
        float_bundle: The float32 graph; its own preprocessing letterboxes the frames.
        images: HxWx3 uint8 BGR.
        method: "minmax" takes the extremes of all frames; "percentile" cuts off the outermost 0.01 % of
            values at either end.

    Returns:
        The ranges; the input's is 0 to 1, so that its 256 steps are those of a byte.
    """
    chosen = images[:: max(1, -(-len(images) // _LIMIT[method]))]
    # Copied, because the detector reuses its buffer.
    tensors = (float_bundle.preprocess(image).tensor.copy() for image in chosen)
    with progress_bar(len(chosen), f"Ranges {method}"[:12]) as advance:
        return measure_ranges(float_bundle.path, tensors, method, advance)


def measure_ranges(
    graph: Path, tensors: Iterable[Tensor], method: Method, advance: Callable[[int], None] = lambda _: None
) -> Ranges:
    """Measure the range of every activation of a float32 graph.

    Args:
        graph: ONNX file with one input, `images`.
        tensors: float32 (N, 3, H, W) in [0, 1].
        method: As of `calibrate`.
        advance: Called with the number of tensors done.

    Returns:
        The ranges; the input's is 0 to 1.
    """
    tensors = iter(tensors)
    histogram = {"num_bins": _BINS, "percentile": _PERCENTILE}
    # onnxruntime's calibrators report their progress with print.
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        calibrator = create_calibrator(
            graph,
            op_types_to_calibrate=None,
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=getattr(CalibrationMethod, {"minmax": "MinMax"}.get(method, "Percentile")),
            extra_options=histogram if method == "percentile" else {},
        )
        while chunk := list(islice(tensors, _CHUNK)):
            calibrator.collect_data(_Chunk(chunk))
            advance(len(chunk))
        found = calibrator.compute_data()
    ends = {name: [float(np.ravel(end)[0]) for end in found[name].range_value] for name in found}
    return {name: (low, high) for name, (low, high) in ends.items()} | {INPUT: (0.0, 1.0)}


class _Chunk(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    """Tensors for onnxruntime's calibrators."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._feeds = iter([{INPUT: tensor} for tensor in tensors])

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        return next(self._feeds, None)
