"""An image in, Detections out: one ONNX file, run the way it says it wants to be run."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.hardware import physical_cores
from edgeloop.edge.runtime.providers import Placement
from edgeloop.edge.runtime.session import Session
from edgeloop.edge.runtime.thread_count import ThreadCount, measure_thread_count, read_thread_count
from edgeloop.models.boxes import clip_boxes
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, ModelError, UsageError
from edgeloop.models.heads import decode

if TYPE_CHECKING:
    from edgeloop.edge.runtime.preprocess import InputBuffer
    from edgeloop.models.letterbox import Letterbox
    from edgeloop.models.spec import ModelSpec, SpecOverrides

__all__ = ["Detector", "Prepared"]

# Images at once: each has its own activations in memory, and more than this gain little.
_MOST_PARALLEL = 4


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An image as the model takes it.

    Attributes:
        tensor: (1, 3, H, W) or (1, H, W, 3) in the dtype of the model's input. It holds this image until
            `preprocess` is called again in the same thread, which has one buffer for all of its images.
        letterbox: the way back to the source image.
    """

    tensor: NDArray[np.generic]
    letterbox: Letterbox


class Detector:
    """A detector on one ONNX file.

    `detect` does three steps in a row: `preprocess`, `infer`, `postprocess`. A pipeline that times them calls
    them itself. Any number of threads may detect at the same time.

    Attributes:
        parallel: how many images it is made for at the same time.
        threads: CPU threads of one inference, and why so many.
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
    ) -> None:
        """Load a detector.

        Args:
            path: an ONNX file: a bundle, an Ultralytics export, or any other whose facts `overrides` states.
            provider: "auto", or one of `edgeloop.edge.runtime.providers.PROVIDERS`.
            confidence: threshold that detections must exceed, in [0, 1]; None for the model's own.
            overrides: facts that the file does not state, or states wrongly.
            allow_cpu: let the CPU run what the provider that was asked for does not.
            threads: CPU threads for one inference; None for one a core that this process may use.
            throughput: for footage, where the rate counts and not how long each image takes: the cores are
                shared out among the `parallel` images that are detected at the same time.
            live: for a camera, between whose frames the model sleeps: where the CPU runs it and `threads` is
                None, their number is measured the first time that this model runs on this machine, which
                takes a second, and recalled from then on.

        Raises:
            NoInputError: there is no such file.
            ModelError: the file is no detector that can be run, or does not say how.
            UsageError: there is no provider of this name, or the confidence lies outside [0, 1].
            UnavailableError: the provider that was asked for does not work here, or not for all of the model.
        """
        if confidence is not None and not 0 <= confidence <= 1:
            raise UsageError(f"confidence {confidence}: expected 0 to 1")
        # Two threads that work on one image wait for each other at every layer; on an image each they do not.
        # An accelerator takes one image at a time, and the next is prepared meanwhile.
        self.parallel = min(physical_cores(), _MOST_PARALLEL) if throughput else 1
        wanted = ThreadCount(threads or max(physical_cores() // self.parallel, 1))
        measured = live and not throughput and threads is None and wanted.count > 1
        load = partial(Session, Path(path), provider=provider, allow_cpu=allow_cpu)
        with ThreadPoolExecutor(1, "load") as loader:
            # onnxruntime builds a session without Python's lock. What brings OpenCV and pydantic, as long to
            # load as most models, is imported meanwhile, and for that reason nowhere above.
            loading = loader.submit(_load, load, Path(path), wanted, recalled=measured)
            from edgeloop.edge.runtime.preprocess import InputBuffer
            from edgeloop.edge.runtime.resolve_spec import read_spec
        self._session, self.threads = loading.result()
        self._spec = read_spec(self._session, overrides, confidence)
        self._new_buffer = partial(InputBuffer, self._spec)
        self._own = threading.local()
        if measured and self.provider == "cpu" and not self.threads.reason:
            width, height = self._spec.input_size
            blank = self.preprocess(np.zeros((height, width, 3), np.uint8))
            self._session, self.threads = measure_thread_count(self._session, load, blank.tensor)

    @property
    def path(self) -> Path:
        """The model file."""
        return self._session.path

    @property
    def spec(self) -> ModelSpec:
        """How the model is run."""
        return self._spec

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file says about itself."""
        return self._session.metadata

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, by class number."""
        return self._spec.names

    @property
    def provider(self) -> str:
        """Short name of the execution provider that really runs the model."""
        return self._session.provider

    @property
    def placement(self) -> Placement:
        """That provider, and how much of the model runs on it."""
        return self._session.placement

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Find the objects in an image.

        Args:
            image: HxWx3 uint8 BGR.

        Returns:
            Detections in pixels of the image, most confident first.

        Raises:
            DataError: this is no such image.
            ModelError: the model does not run, or returns what its metadata does not foresee.
        """
        prepared = self.preprocess(image)
        return self.postprocess(self.infer(prepared), prepared.letterbox)

    def preprocess(self, image: NDArray[np.uint8]) -> Prepared:
        """First step: letterbox, colour, layout and scale.

        Args:
            image: HxWx3 uint8 BGR.

        Returns:
            The image as the model takes it.

        Raises:
            DataError: this is no such image.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise DataError(f"expected an image (H, W, 3) uint8, got {image.shape} {image.dtype}")
        return Prepared(*self._buffer().fill(image))

    def _buffer(self) -> InputBuffer:
        """The buffer of this thread."""
        if not hasattr(self._own, "buffer"):
            self._own.buffer = self._new_buffer()
        buffer: InputBuffer = self._own.buffer
        return buffer

    def infer(self, prepared: Prepared) -> list[NDArray[np.floating]]:
        """Second step: run the model.

        Args:
            prepared: what `preprocess` returned.

        Returns:
            The model's raw outputs.

        Raises:
            ModelError: the model does not run on this input.
        """
        return self._session.run(prepared.tensor)

    def postprocess(self, outputs: list[NDArray[np.floating]], letterbox: Letterbox) -> Detections:
        """Third step: decode the outputs and go back to the source image.

        Args:
            outputs: what `infer` returned.
            letterbox: of the image that went in.

        Returns:
            Detections in pixels of the source image, clipped to it, most confident first. Boxes that lie
            wholly in the letterbox's fill have no area there and are left out.

        Raises:
            ModelError: the outputs have another shape than the head writes, or a class that has no name.
        """
        spec = self._spec
        found = decode(
            spec.head,
            outputs,
            input_size=spec.input_size,
            confidence=spec.confidence,
            iou=spec.iou,
            max_detections=spec.max_detections,
        )
        if not len(found):
            return found
        if not 0 <= found.class_id.min() <= found.class_id.max() < len(spec.names):
            raise ModelError(
                f"{self.path}: returned the classes {found.class_id.min()} to {found.class_id.max()}, "
                f"but has names for {len(spec.names)}"
            )
        xyxy = clip_boxes(letterbox.to_source(found.xyxy), *letterbox.source_size)
        inside = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
        return Detections(xyxy[inside], found.confidence[inside], found.class_id[inside])


def _load(
    open_session: Callable[..., Session], path: Path, threads: ThreadCount, *, recalled: bool
) -> tuple[Session, ThreadCount]:
    """Open a model on so many threads, or on as many as an earlier run found best."""
    threads = (recalled and read_thread_count(path)) or threads
    session = open_session(threads=threads.count)
    return session, threads if session.provider == "cpu" else ThreadCount(threads.count)
