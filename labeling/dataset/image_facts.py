"""Size and look of each image of a dataset, measured by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.image_bytes import decode_image, image_fault
from edgeloop.labeling.frames.frame_store import FolderStore, FrameStore
from edgeloop.labeling.frames.perceptual_hash import perceptual_hash, to_gray
from edgeloop.labeling.workers.frame_job import FrameFile
from edgeloop.labeling.workers.open_pool import run_job
from edgeloop.labeling.workers.workers import Workers

__all__ = ["ImageFacts", "measure_images"]


@dataclass(frozen=True, slots=True, eq=False)
class ImageFacts:
    """Measures of an image.

    Attributes:
        size: (width, height), px.
        code: Perceptual hash, bool (256,).
    """

    size: tuple[int, int]
    code: NDArray[np.bool_]


_Row = ImageFacts | str | None  # None if there is no complete image, a reason if a worker failed


def measure_images(
    paths: Sequence[Path], workers: Workers, advance: Callable[[int], None]
) -> Iterator[tuple[Path, ImageFacts | str]]:
    """Measure images, in their order, whoever measures them.

    Args:
        paths: Image files.
        workers: Who does the work.
        advance: Called with 1 after each image.

    Yields:
        Path and measures of each image; or one line that says why there are none.

    Raises:
        UnavailableError: No worker can be started.
        DataError: The first 50 images that can be read all fail, as when each kills its worker.
    """
    items = [FrameFile(str(path.absolute())) for path in paths]
    early: dict[int, _Row] = {}
    following = 0
    store = FolderStore(paths[0].parent if paths else Path())  # absolute names are found from any folder
    for place, row in run_job(_MeasureJob(store), items, workers):
        advance(1)
        early[place] = row
        while following in early:
            facts, path = early.pop(following), paths[following]
            yield path, image_fault(path) if facts is None else facts
            following += 1


@dataclass(frozen=True, slots=True)
class _MeasureJob:
    """See `FrameJob`."""

    store: FrameStore
    batch: int = 1
    threads: bool = True

    @property
    def files(self) -> Mapping[str, Path]:
        return {}

    @property
    def gpus(self) -> int:
        return 0

    def open(self, files: Mapping[str, Path]) -> _MeasureHandler:  # noqa: ARG002  FrameJob asks for it
        return _MeasureHandler()

    def failed(self, item: FrameFile, reason: str) -> _Row:  # noqa: ARG002  FrameJob asks for it
        return reason


class _MeasureHandler:
    def __call__(self, frames: Sequence[tuple[FrameFile, bytes]], /) -> list[_Row]:
        return [_measure(item.file, data) for item, data in frames]


def _measure(file: str, data: bytes) -> ImageFacts | None:
    image = decode_image(data, file)
    if image is None:
        return None
    height, width = image.shape[:2]
    return ImageFacts((width, height), perceptual_hash(to_gray(image)))
