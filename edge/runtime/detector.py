"""Detector: an image in, Detections out."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.engines.engine_protocol import Engine
from edgeloop.edge.engines.open_engine import installed_engines, open_engine
from edgeloop.edge.engines.placement import ThreadCount
from edgeloop.edge.host.hardware import physical_cores
from edgeloop.edge.runtime.frame_detector import check_image
from edgeloop.edge.runtime.measured_choice import Choice, keep_choice, load_chosen, measure_thread_count
from edgeloop.edge.runtime.tiling import find_regions, merge_regions
from edgeloop.models.boxes import clip_boxes
from edgeloop.models.detections import Detections
from edgeloop.models.errors import (
    AbsurdOutputError,
    ModelError,
    NonFiniteOutputError,
    UsageError,
)
from edgeloop.models.heads import decode_rows
from edgeloop.models.heads.segment import draw_masks

if TYPE_CHECKING:
    from edgeloop.models.letterbox import Letterbox
    from edgeloop.models.spec import SpecOverrides

__all__ = ["Detector", "Prepared"]

log = logging.getLogger(__name__)

# Images at a time: each has its own activations in memory, and more gain little.
_MAX_PARALLEL = 4
# A quantized score may exceed 1 by its rounding, and a box the image by a part of its object.
_MAX_SCORE = 1.05
_MAX_SIDES = 10
# Below it a detector is scored, and is expected to give as many boxes as it may.
_SCORING_CONFIDENCE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Input tensor of one image.

    Attributes:
        tensor: (1, 3, H, W) or (1, H, W, 3) in the dtype of the model's input; a buffer of this thread, valid
            until its next call of `preprocess`.
        letterbox: Transform back to the source image.
    """

    tensor: NDArray[np.generic]
    letterbox: Letterbox


class _Limits(NamedTuple):
    """Limits of the boxes of an output; the fields are those of `ModelSpec`, class scores by number."""

    confidence: float
    iou: float
    max_detections: int
    class_scores: NDArray[np.float32] | None = None


class Detector:
    """Object detector of one model file.

    `detect` is `preprocess`, `infer` and `postprocess` in a row, for each tile if the settings have tiles.
    All methods are thread-safe.

    Attributes:
        path: Path of the model file.
        metadata: Metadata of the file.
        spec: Settings of the model.
        frames: Statistics of its training frames; None if they are unknown.
        names: Class names by class number.
        provider: Short name of the execution provider that runs the model.
        placement: Execution provider, and the share of the model that runs on it.
        parallel: Number of images to detect at a time.
        threads: CPU threads of one inference, with the reason.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        provider: str = "auto",
        confidence: float | None = None,
        overrides: SpecOverrides | None = None,
        allow_cpu: bool = False,
        threads: int | None = None,
        throughput: bool = False,
        live: bool = False,
        engine: Engine | None = None,
    ) -> None:
        """Load a detector.

        Args:
            path: ONNX file: a bundle, an Ultralytics export, or another one with `overrides`. Or a file of
                another engine, with its facts beside it.
            provider: "auto", or one of `edgeloop.edge.engines.open_engine.onnx_providers`, or of another
                engine its own.
            confidence: Minimum score, exclusive, in [0, 1]; None for the model's own.
            overrides: Settings that the file lacks or states wrongly.
            allow_cpu: Let the CPU run the operators that the provider does not support.
            threads: CPU threads of one inference; None for one per physical core.
            throughput: Optimize the rate instead of the latency, for footage: divide the cores among
                `parallel` images.
            live: Optimize the latency for a camera: on the CPU, unless `threads` is given, their number is
                measured once per model and machine, for about a second, and kept. With "auto", `live` and
                `throughput` also compare OpenVINO, if it is installed, for a bundle with a golden sample.
            engine: The model, if it is open already; how to open it is then left out, and nothing measured.

        Raises:
            NoInputError: The file does not exist.
            ModelError: The file is no supported detector, or its settings are incomplete.
            UsageError: The provider is unknown, or the confidence is outside [0, 1].
            UnavailableError: The engine is not installed, or the provider does not work here or does not
                support the whole model.
        """
        if confidence is not None and not 0 <= confidence <= 1:
            raise UsageError(f"confidence {confidence}: expected 0 to 1")
        # Threads that share one image wait for each other at every layer; with one image each they do not. An
        # accelerator takes one image at a time, and the next is prepared meanwhile.
        self.parallel = min(physical_cores(), _MAX_PARALLEL) if throughput else 1
        wanted = ThreadCount(threads or max(physical_cores() // self.parallel, 1))
        counts = live and not throughput and threads is None and wanted.count > 1
        compares = (live or throughput) and provider == "auto" and installed_engines().get("openvino", False)
        use = f"{provider}, {self.parallel} at a time" if (counts or compares) and engine is None else ""
        load = partial(open_engine, Path(path), allow_cpu=allow_cpu, parallel=self.parallel)
        if engine is not None:
            load = partial(_opened, engine)
        with ThreadPoolExecutor(1, "load") as loader:
            loading = loader.submit(
                load_chosen, load, Path(path), provider, wanted, use, fixed=threads is not None
            )
            # onnxruntime builds a session without the GIL. Meanwhile import OpenCV and pydantic, as slow to
            # load as most models: hence no import of these modules above.
            from edgeloop.edge.runtime import engine_choice, preprocess, resolve_spec
        self._engine, self.threads, chosen = loading.result()
        self.path, self.metadata = self._engine.path, self._engine.metadata
        self.spec = resolve_spec.read_spec(self._engine, overrides, confidence)
        self.frames = resolve_spec.read_frames(self._engine)
        self.names = self.spec.names
        self._limits = _Limits(
            self.spec.lowest_confidence,
            self.spec.iou,
            self.spec.max_detections,
            np.array(self.spec.class_scores, np.float32),
        )
        self._output_names = tuple(output.name for output in self._engine.outputs)
        self._new_buffer = partial(preprocess.InputBuffer, self.spec)
        self._per_thread = threading.local()
        self._lock, self._told_limit = threading.Lock(), False
        if use and chosen is None and self._engine.placement.provider == "cpu":
            chosen = Choice("cpu", self.threads)
            if counts:
                chosen = self._count_threads(partial(load, provider=provider))
            record = engine_choice.golden_record_of(self._engine)
            if compares and record and self._engine.placement.engine == "onnxruntime":
                self._engine, chosen = engine_choice.choose_engine(
                    self._engine,
                    chosen.threads,
                    partial(load, provider="openvino"),
                    record=record,
                    spec=self.spec,
                    preprocess=lambda image: self.preprocess(image).tensor,
                    parallel=self.parallel,
                )
            chosen = keep_choice(self.path, use, chosen)
            self.threads = chosen.threads
        compared = chosen.compared if chosen else ""
        self.placement = replace(self._engine.placement, compared=compared)
        self.provider = self.placement.provider

    def _count_threads(self, reopen: Callable[..., Engine]) -> Choice:
        """Open the model on the number of threads that is fastest for a camera."""
        width, height = self.spec.input_size
        blank = self.preprocess(np.zeros((height, width, 3), np.uint8))
        self._engine, threads = measure_thread_count(self._engine, reopen, blank.tensor)
        return Choice("cpu", threads)

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Find the objects in an image.

        Args:
            image: HxWx3 uint8 BGR.

        Returns:
            Detections in pixels of the image, most confident first; with `masks` of a segmentation model.

        Raises:
            DataError: The image has the wrong shape or dtype.
            ModelError: Inference fails, or the output does not fit the metadata.
        """
        return self.detect_timed(image)[0]

    def detect_timed(self, image: NDArray[np.uint8]) -> tuple[Detections, dict[str, float]]:
        """Find the objects in an image, and time the three steps.

        Args:
            image: HxWx3 uint8 BGR.

        Returns:
            The result of `detect`, and the milliseconds of "preprocess", "infer" and "postprocess", each over
            all tiles.

        Raises:
            DataError: The image has the wrong shape or dtype.
            ModelError: Inference fails, or the output does not fit the metadata.
        """
        check_image(image)
        spec, size = self.spec, (image.shape[1], image.shape[0])
        regions = find_regions(size, spec.tile, spec.tile_overlap)
        found, steps = [], np.zeros(3)
        for number, (x1, y1, x2, y2) in enumerate(regions):
            times = [time.monotonic()]
            prepared = self._prepare(image[y1:y2, x1:x2], tiled=number > 0)
            times.append(time.monotonic())
            outputs = self.infer(prepared)
            times.append(time.monotonic())
            part = self._decode(outputs, prepared.letterbox, self._limits)
            found.append(_placed(part, (x1, y1), size) if number else part)
            times.append(time.monotonic())
            steps += np.diff(times)
        began = time.monotonic()
        merged = found[0]
        if len(regions) > 1:
            merged = merge_regions(found, regions, limit=spec.max_detections)
            self._note_limit(len(merged), None)
        merged = self._by_size(merged, size)
        steps[2] += time.monotonic() - began
        return merged, dict(zip(("preprocess", "infer", "postprocess"), (steps * 1e3).tolist(), strict=True))

    def preprocess(self, image: NDArray[np.uint8]) -> Prepared:
        """Letterbox and normalize an image (first step).

        Args:
            image: HxWx3 uint8 BGR.

        Returns:
            The input of the model.

        Raises:
            DataError: The image has the wrong shape or dtype.
        """
        check_image(image)
        return self._prepare(image)

    def _prepare(self, image: NDArray[np.uint8], *, tiled: bool = False) -> Prepared:
        # Tiles have a buffer of their own: a buffer is set up anew if the size of the images changes.
        buffer = getattr(self._per_thread, f"tiled_{tiled}", None)
        if buffer is None:
            buffer = self._new_buffer()
            setattr(self._per_thread, f"tiled_{tiled}", buffer)
        return Prepared(*buffer.fill(image))

    def infer(self, prepared: Prepared) -> list[NDArray[np.floating]]:
        """Run the model (second step).

        Args:
            prepared: Result of `preprocess`.

        Returns:
            Raw outputs of the model.

        Raises:
            ModelError: Inference fails.
        """
        return self._engine.run(prepared.tensor)

    def postprocess(self, outputs: list[NDArray[np.floating]], letterbox: Letterbox) -> Detections:
        """Decode the outputs and map boxes to the source image (third step); knows nothing of tiles.

        Args:
            outputs: Result of `infer`.
            letterbox: Transform of the image.

        Returns:
            Detections in pixels of the source image, clipped to it, most confident first. Boxes wholly
            within the padding are dropped.

        Raises:
            ModelError: The outputs have the wrong shape for the head, a class without a name, or values that
                are not finite or absurd.
        """
        return self._by_size(self._decode(outputs, letterbox, self._limits), letterbox.source_size)

    def candidates(
        self,
        outputs: list[NDArray[np.floating]],
        letterbox: Letterbox,
        *,
        confidence: float,
        iou: float,
        max_detections: int,
    ) -> Detections:
        """Decode the outputs as `postprocess` does, with other limits and boxes of all classes and sizes.

        Args:
            outputs: Result of `infer`.
            letterbox: Transform of the image.
            confidence: Minimum score, exclusive.
            iou: IoU threshold of non-maximum suppression.
            max_detections: Maximum number of detections.

        Returns:
            Detections as of `postprocess`.

        Raises:
            ModelError: As of `postprocess`.
        """
        return self._decode(outputs, letterbox, _Limits(confidence, iou, max_detections))

    def _by_size(self, found: Detections, source_size: tuple[int, int]) -> Detections:
        """Select the boxes of the sizes that the settings allow."""
        spec = self.spec
        if spec.min_size is None and spec.max_size is None:
            return found
        side = (found.xyxy[:, 2:] - found.xyxy[:, :2]).max(axis=1, initial=0)
        kept = np.ones(len(found), bool)
        if spec.min_size is not None:
            kept &= side >= _pixels(spec.min_size, source_size)
        if spec.max_size is not None:
            kept &= side <= _pixels(spec.max_size, source_size)
        return found[kept]

    def _decode(
        self, outputs: list[NDArray[np.floating]], letterbox: Letterbox, limits: _Limits
    ) -> Detections:
        spec = self.spec
        if not all(map(_is_finite, outputs)):
            raise NonFiniteOutputError(f"{self.path}: the output has values that are no finite numbers")
        try:
            found, rows = decode_rows(
                spec.head,
                outputs,
                input_size=spec.input_size,
                confidence=limits.confidence,
                iou=limits.iou,
                max_detections=limits.max_detections,
                class_confidence=limits.class_scores,
                output_names=self._output_names,
            )
        except ModelError as error:
            raise type(error)(f"{self.path}: {error}") from error
        if not len(found):
            return self._with_masks(found, rows, outputs, letterbox)
        if (score := found.confidence.max()) > _MAX_SCORE:
            raise AbsurdOutputError(f"{self.path}: the output has a score of {score:g}, expected 0 to 1")
        if (reach := np.abs(found.xyxy).max()) > _MAX_SIDES * max(spec.input_size):
            size = "x".join(map(str, spec.input_size))
            raise AbsurdOutputError(f"{self.path}: the output has a box at {reach:g} px, the input is {size}")
        if limits is self._limits:
            self._note_limit(len(found), outputs)
        xyxy = clip_boxes(letterbox.to_source(found.xyxy), *letterbox.source_size)
        inside = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
        found = Detections(xyxy[inside], found.confidence[inside], found.class_id[inside])
        return self._with_masks(found, rows[inside], outputs, letterbox)

    def _with_masks(
        self,
        found: Detections,
        rows: NDArray[np.int64],
        outputs: list[NDArray[np.floating]],
        letterbox: Letterbox,
    ) -> Detections:
        """Draw the masks of boxes in pixels of the source image, if the model has some."""
        if self.spec.head != "segment":
            return found
        return replace(found, masks=draw_masks(outputs, rows, letterbox, found.xyxy))

    def _note_limit(self, count: int, outputs: list[NDArray[np.floating]] | None) -> None:
        """Say once that an image has as many detections as it may."""
        spec = self.spec
        rows = None
        if outputs and (spec.head == "detr" or (spec.head == "end2end" and outputs[0].ndim == 3)):
            rows = outputs[0].shape[1]
        if count not in (rows, spec.max_detections) or spec.confidence < _SCORING_CONFIDENCE:
            return
        with self._lock:
            told, self._told_limit = self._told_limit, True
        if not told:
            way = "the model gives no more" if count == rows else "--max-detections sets another limit"
            log.warning("%s: an image has %d detections, the maximum; %s", self.path, count, way)


def _placed(found: Detections, corner: tuple[int, int], size: tuple[int, int]) -> Detections:
    """Give what was found in a tile its place in the image, `size` (width, height)."""
    xyxy = found.xyxy + np.array(corner * 2, np.float32)
    return replace(found, xyxy=xyxy, masks=None if found.masks is None else found.masks.placed(corner, size))


def _is_finite(output: NDArray[np.generic]) -> bool:
    if output.dtype == np.float16:  # 15 times as fast as isfinite
        return bool((output.view(np.uint16) & 0x7FFF).max(initial=0) < 0x7C00)
    return output.dtype.kind != "f" or bool(np.isfinite(output).all())


def _opened(engine: Engine, **_ways: object) -> Engine:
    return engine


def _pixels(extent: float, source_size: tuple[int, int]) -> float:
    """Length in pixels of one that is in pixels, or below 1 a share of the image's longer side."""
    return extent * max(source_size) if extent < 1 else extent
