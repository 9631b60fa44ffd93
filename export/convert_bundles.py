"""Bundles of an engine other than onnxruntime: convert, measure in that engine, until one passes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeloop.edge.engines.facts_file import EngineFacts, write_facts
from edgeloop.edge.engines.open_engine import ENGINES, engine_of, installed_engines
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import make_golden
from edgeloop.export.candidates import Bundle, Candidate
from edgeloop.export.check.gate import refusals
from edgeloop.export.check.measure import Reference, measure, with_latencies
from edgeloop.export.check.parity import LOWEST_CONFIDENCE, SURE, BundlePrecision
from edgeloop.export.convert.converter import Attempt, Converted, Converter, FailedAttempt, Source
from edgeloop.export.convert.run_tool import last_words
from edgeloop.export.data.yolo_dataset import Dataset
from edgeloop.export.export_options import ExportOptions, Precision
from edgeloop.export.graph.cut_head import cut_head
from edgeloop.export.quantize.activation_ranges import training_frames
from edgeloop.export.targets import TARGETS
from edgeloop.models.bundle.document import Golden
from edgeloop.models.errors import EdgeloopError, ModelError, UnavailableError
from edgeloop.models.heads import Head
from edgeloop.models.letterbox import Letterbox
from edgeloop.models.spec import ModelSpec
from edgeloop.models.weights.digest import file_sha256

__all__ = ["calibration_frames", "check_tools", "convert_bundles", "facts_of", "is_onnx", "load_converter"]

_log = logging.getLogger(__name__)

# Precisions to try, in order; of `auto` the smallest first.
_WANTED: dict[Precision, tuple[BundlePrecision, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp16",),
    "int8": ("int8",),
    "auto": ("int8", "fp16", "fp32"),
}


def check_tools(target: str) -> None:
    """Refuse a target before any work if the tools or the engine that it needs are not installed.

    Raises:
        UnavailableError: They are not; the message says how to install them.
    """
    engine = TARGETS[target].provider
    if not installed_engines().get(engine, True):
        raise UnavailableError(
            f"--target {target}: needs {engine}, which is not installed; {ENGINES[engine].advice}"
        )
    if TARGETS[target].converter:
        load_converter(target).check_tools()


def convert_bundles(
    graph: onnx.ModelProto,
    spec: ModelSpec,
    reference: Reference,
    data: Dataset,
    options: ExportOptions,
    folder: Path,
) -> tuple[list[Bundle], tuple[Candidate, ...], tuple[FailedAttempt, ...]]:
    """Convert a detector for a target and measure each attempt, until one passes the gate.

    Args:
        graph: Float32 graph that takes (1, 3, H, W) RGB in [0, 1].
        spec: Its spec.
        reference: Torch on the held-out frames.
        data: Dataset; its training part calibrates.
        options: Options of the export, with a target that has a converter.
        folder: Folder for the files.

    Returns:
        The attempts that were measured, and the candidate of each; the last one passes, if any does. Then
        those of which the maker's tool or engine failed.

    Raises:
        UnavailableError: The maker's tools, or the engine, are not installed.
        ModelError: The tools fail in every attempt.
        DataError: There are too few frames to calibrate on.
    """
    name = options.target or ""
    target = TARGETS[name]
    converter = load_converter(name)
    anything = any((found.confidence >= SURE).any() for found in reference.found)
    bundles: list[Bundle] = []
    candidates: list[Candidate] = []
    failed: list[FailedAttempt] = []
    frames_of = cache(lambda *, int8: calibration_frames(data, spec) if int8 else _no_frames(spec))
    for attempt in _attempts(converter, target.precisions, options.precision, spec.head, anything=anything):
        work = folder / f"attempt-{len(bundles) + len(failed)}"
        work.mkdir()
        frames = frames_of(int8=attempt.precision == "int8")
        try:
            cut, cut_spec = cut_head(graph, spec) if attempt.raw_head else (graph, spec)
            source = Source(cut, cut_spec, frames, work, target.chip(options.chip))
            converted = _convert(converter, source, attempt)
            if is_onnx(converted.path):
                cut = onnx.load(converted.path)
            else:
                write_facts(converted.path, facts_of(converted, converted.spec.to_metadata()))
            candidate, golden = _measure(converted, attempt, reference, options)
        except ModelError as error:
            failed.append(FailedAttempt(attempt, str(error)))
            continue
        bundles.append(
            Bundle(
                attempt.precision,
                cut,
                converted.spec,
                converted.path,
                {},
                None,
                attempt.name,
                converted,
                golden,
            )
        )
        candidates.append(candidate)
        if not candidate.reasons:
            break
    if not candidates:
        raise ModelError(_all_failed(name, failed))
    return bundles, tuple(candidates), tuple(failed)


def is_onnx(path: Path) -> bool:
    """True if a file carries its metadata itself."""
    return engine_of(path) == "onnxruntime"


def facts_of(converted: Converted, metadata: dict[str, str]) -> EngineFacts:
    """Facts of a converted file, with the metadata that it ships with."""
    return EngineFacts(
        engine=engine_of(converted.path),
        sha256=file_sha256(converted.path),
        metadata=metadata,
        inputs=converted.inputs,
        outputs=converted.outputs,
        options=dict(converted.options),
        versions=dict(converted.versions),
    )


def load_converter(target: str) -> Converter:
    """Converter of a target; its module may import the maker's packages."""
    module, _, name = TARGETS[target].converter.partition(":")
    converter: Converter = getattr(import_module(f"edgeloop.export.convert.{module}"), name)()
    return converter


def _convert(converter: Converter, source: Source, attempt: Attempt) -> Converted:
    """Convert a detector; what a maker's tool raises in this process is a ModelError."""
    try:
        return converter.convert(source, attempt)
    except EdgeloopError:
        raise
    except Exception as error:  # tools of several makers, whose errors have no base class in common
        raise ModelError(f"{type(error).__name__}: {last_words(str(error))}") from error


def _all_failed(target: str, failed: Sequence[FailedAttempt]) -> str:
    """Error message if no attempt gave a file, after a line for each of several."""
    if len(failed) == 1:
        return f"--target {target}: no file was written; the only attempt failed: {failed[0]}"
    for each in failed:
        _log.warning("%s", each)
    every = f"all {len(failed)} attempts failed, the last one: {failed[-1]}"
    return f"--target {target}: no file was written; {every}"


def _measure(
    converted: Converted, attempt: Attempt, reference: Reference, options: ExportOptions
) -> tuple[Candidate, Golden | None]:
    """Measure a file in its engine or its maker's simulator, and record its golden sample if it passes."""
    provider = TARGETS[options.target or ""].provider if is_onnx(converted.path) else "auto"
    try:
        detector = Detector(
            converted.path, provider=provider, confidence=LOWEST_CONFIDENCE, engine=converted.simulator
        )
    except UnavailableError as error:
        if not is_onnx(converted.path):
            raise
        raise ModelError(str(error)) from error  # the chip lacks an operator in this precision
    try:
        measurement = measure(attempt.precision, detector, reference)
        # A simulator says nothing about the time on its chip.
        if not detector.placement.is_simulated:
            (measurement,) = with_latencies([measurement], [detector], reference.images[0].read())
        reasons = refusals(measurement, reference, options)
        candidate = Candidate(measurement, reasons, attempt=attempt.name)
        return candidate, None if reasons else make_golden(detector)
    finally:
        if converted.simulator is not None:
            converted.simulator.close()


def _attempts(
    converter: Converter,
    possible: Sequence[Precision],
    precision: Precision,
    head: Head,
    *,
    anything: bool,
) -> list[Attempt]:
    """List the attempts, in order; of a detector that finds nothing one is enough, and it is refused."""
    wanted = [each for each in _WANTED[precision] if each in possible]
    attempts = [attempt for each in wanted for attempt in converter.attempts(each, head)]
    return attempts if anything else attempts[-1:]


def calibration_frames(data: Dataset, spec: ModelSpec) -> NDArray[np.uint8]:
    """Take frames of the training part, letterboxed, (N, H, W, 3) uint8 RGB.

    Raises:
        DataError: There are too few, or one cannot be read.
    """
    images = training_frames(data).calibration
    return np.stack([_letterboxed(image, spec)[:, :, ::-1] for image in images])


def _letterboxed(image: NDArray[np.uint8], spec: ModelSpec) -> NDArray[np.uint8]:
    size = (image.shape[1], image.shape[0])
    return Letterbox.fit(
        size, spec.input_size, centered=spec.centered, stretched=spec.stretched, pad_value=spec.pad_value
    ).apply(image)


def _no_frames(spec: ModelSpec) -> NDArray[np.uint8]:
    width, height = spec.input_size
    return np.empty((0, height, width, 3), np.uint8)
