"""Choice between onnxruntime and OpenVINO on a CPU, by the times of both on this machine.

Only a bundle with a golden sample is compared: OpenVINO may run it if its answer is within the tolerance.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.engines.engine_protocol import Engine
from edgeloop.edge.engines.placement import ThreadCount
from edgeloop.edge.runtime.golden_check import GoldenResult, check_golden, golden_outputs
from edgeloop.edge.runtime.measured_choice import Choice, measure_thread_count, time_once
from edgeloop.models.bundle.document import Record, read_document
from edgeloop.models.bundle.golden import golden_image
from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.spec import ModelSpec

__all__ = ["choose_engine", "golden_record_of"]

_CLEARLY_LESS = 0.95  # OpenVINO is preferred if it takes at most this share of the time
_REPEATS = 7
_LIMIT_S = 2.0
_EACH = 4  # images in a row by each of the parallel threads

Preprocess = Callable[[NDArray[np.uint8]], NDArray[np.generic]]


def golden_record_of(engine: Engine) -> Record | None:
    """Record of a bundle with a golden sample, else None."""
    document = read_document(engine.metadata)
    return document.record if document and document.record.golden else None


def choose_engine(
    engine: Engine,
    threads: ThreadCount,
    open_other: Callable[..., Engine],
    *,
    record: Record,
    spec: ModelSpec,
    preprocess: Preprocess,
    parallel: int,
) -> tuple[Engine, Choice]:
    """Compare OpenVINO with a model that is open in onnxruntime, and close the slower one.

    Args:
        engine: The model in onnxruntime, on `threads`.
        threads: Its number of threads, with the reason.
        open_other: Opens the model in OpenVINO with a number of `threads`.
        record: Record of the bundle, with a golden sample.
        spec: Settings of the model.
        preprocess: Makes the input of the model from an image.
        parallel: Images at a time; 1 for a camera, whose pauses are kept between inferences.

    Returns:
        The engine to use, and what was found.

    Raises:
        ModelError: The model does not run in onnxruntime.
    """
    image = golden_image(spec.input_size)
    tensor = preprocess(image)
    with ExitStack() as unused:
        try:
            other = open_other(threads=engine.threads)
            unused.callback(other.close)
            result = _check(other, record, spec, image, tensor)
        except (ModelError, UnavailableError) as error:
            return engine, Choice("cpu", threads, f"not openvino: {error}")
        if not result.passed:
            return engine, Choice("cpu", threads, f"not openvino, whose answer is {result.reason}")
        unused.pop_all()
    other_threads = ThreadCount(other.threads)
    if parallel == 1 and other.threads > 1:
        other, other_threads = measure_thread_count(other, open_other, tensor)
    ours, theirs = _times(engine, other, tensor, parallel)
    if theirs > _CLEARLY_LESS * ours:
        other.close()
        return engine, Choice("cpu", threads, f"{_ms(ours)} against {_ms(theirs)} with openvino")
    engine.close()
    return other, Choice("openvino", other_threads, f"{_ms(theirs)} against {_ms(ours)} with onnxruntime")


def _check(
    engine: Engine, record: Record, spec: ModelSpec, image: NDArray[np.uint8], tensor: NDArray[np.generic]
) -> GoldenResult:
    head, outputs = golden_outputs(spec, engine.run(tensor))
    return check_golden(record, head, image, outputs, record.precision or "fp32")


def _times(engine: Engine, other: Engine, tensor: NDArray[np.generic], parallel: int) -> tuple[float, float]:
    """Median time of an image in each engine, in seconds, measured in turns."""
    ends_at = time.monotonic() + _LIMIT_S
    pairs: list[tuple[float, float]] = []
    with ThreadPoolExecutor(parallel) as workers:

        def once(engine: Engine) -> float:
            if parallel == 1:
                return time_once(engine, tensor)
            return _time_together(engine, tensor, parallel, workers)

        once(engine), once(other)
        while not pairs or (len(pairs) < _REPEATS and time.monotonic() < ends_at):
            pairs.append((once(engine), once(other)))
    ours, theirs = np.median(pairs, axis=0).tolist()
    return ours, theirs


def _time_together(engine: Engine, tensor: NDArray[np.generic], parallel: int, workers: Executor) -> float:
    """Measure the time of an image while each thread runs some, in seconds."""

    def run(_: int) -> None:
        for _ in range(_EACH):
            engine.run(tensor)

    started = time.monotonic()
    list(workers.map(run, range(parallel)))
    return (time.monotonic() - started) / (parallel * _EACH)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
