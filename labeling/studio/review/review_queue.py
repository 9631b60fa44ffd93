"""Queue of a dataset: its doubts in a fixed order, so that a person finds the place again."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.labeling.dataset.apply_decisions import read_info, read_originals, read_results
from edgeloop.labeling.dataset.decisions import HUMAN
from edgeloop.labeling.dataset.device_doubts import read_device_doubts
from edgeloop.labeling.dataset.read import Image, read_instances
from edgeloop.labeling.ledger import FrameResult
from edgeloop.labeling.studio.review.doubt_features import embed_doubts
from edgeloop.labeling.studio.review.doubts import Doubt, find_doubts
from edgeloop.labeling.studio.review.error_probability import estimate_errors
from edgeloop.labeling.studio.review.looks import Look, arrange_looks
from edgeloop.models.errors import EdgeloopError

__all__ = ["Found", "Queue", "build_queue", "read_found"]

_EMBEDDED, _SURE, _DRAWN = 3000, 500, 500  # boxes whose features are computed
_LEAST_ERROR = 0.01  # of a doubt that is asked about


@dataclass(frozen=True, slots=True)
class Found:
    """Labels of a dataset as they were found, before any decision.

    Attributes:
        names: Class names.
        results: By name of the frame, without masks.
        doubts: What a device missed, then the most probable errors first.
    """

    names: tuple[str, ...]
    results: dict[str, FrameResult]
    doubts: list[Doubt]


@dataclass(frozen=True, slots=True)
class Queue:
    """Looks in order of their gain; `Look.doubts` are places in `doubts`, the most doubtful of a dataset."""

    doubts: Sequence[Doubt]
    looks: Sequence[Look]


def read_found(dataset: Path) -> Found:
    """Read what was found, and list its doubts.

    Raises:
        NoInputError: There is no such dataset.
        DataError: It is malformed.
    """
    coco = read_instances(dataset)
    names = tuple(category.name for category in coco.categories)
    frames = read_results(dataset, masks=False)
    results = {file: frame.result for file, frame in frames.items()} | {
        file: original for file, original in read_originals(dataset).items() if file in frames
    }
    footage = read_info(dataset).get("footage")
    film = isinstance(footage, dict) and footage.get("kind") == "film"
    recordings = _recordings(coco.images) if film else []
    return Found(names, results, find_doubts(results, names, recordings, read_device_doubts(dataset)))


def build_queue(
    found: Found, path_of: Callable[[str], Path], cache: Path, advance: Callable[[int, int], None]
) -> Queue:
    """Arrange the most doubtful; takes seconds, unless their features are in the cache.

    Args:
        found: What was found.
        path_of: Gives the image of a frame by its name.
        cache: Folder of the features; created if it is missing.
        advance: Called with the number of boxes that are embedded, and of all.
    """
    doubtful = [own for own in found.doubts if own.device or own.error_probability >= _LEAST_ERROR]
    asked = doubtful[:_EMBEDDED]
    if not asked:
        return Queue([], [])
    chosen = set(asked)
    sure = [own for own in found.doubts if own not in chosen]
    sample = sure[:: max(1, len(sure) // _SURE)][:_SURE]
    drawn = _drawn(found)
    features = _features([*asked, *sample, *drawn], path_of, cache, advance)
    of_drawn = len(asked) + len(sample)
    errors = estimate_errors([*asked, *sample], features[:of_drawn], drawn, features[of_drawn:])[: len(asked)]
    return Queue(asked, arrange_looks(asked, errors, features[: len(asked)]))


def _drawn(found: Found) -> list[Doubt]:
    """Labels that a person drew."""
    drawn = [
        Doubt("label", file, found.names[label.class_id], label.xyxy, 1.0)
        for file, result in found.results.items()
        for label in result.labels
        if label.prompt == HUMAN
    ]
    return drawn[:: max(1, len(drawn) // _DRAWN)][:_DRAWN]


def _features(
    boxes: Sequence[Doubt], path_of: Callable[[str], Path], cache: Path, advance: Callable[[int, int], None]
) -> NDArray[np.float32]:
    """Features of boxes, float32 (N, D), from the cache if they are there."""
    key = hashlib.sha256(repr([(own.file, own.xyxy) for own in boxes]).encode()).hexdigest()[:16]
    path = cache / f"features-{key}.npy"
    features = _cached(path, len(boxes))
    if features is not None:
        return features
    done = 0

    def add(count: int) -> None:
        nonlocal done
        done += count
        advance(done, len(boxes))

    features = embed_doubts(boxes, path_of, add)
    content = io.BytesIO()
    np.save(content, features.astype(np.float16))
    with suppress(OSError, EdgeloopError):  # a cache that cannot be written costs seconds alone
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.glob("features-*.npy"):
            old.unlink()
        replace_file(path, content.getvalue())
    return features


def _cached(path: Path, count: int) -> NDArray[np.float32] | None:
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return features.astype(np.float32) if features.ndim == 2 and len(features) == count else None


def _recordings(images: Sequence[Image]) -> list[list[tuple[str, int]]]:
    """Name and index of each frame, in order of time, for each recording."""
    grouped: dict[tuple[str, int], list[tuple[int, str]]] = {}
    for image in images:
        own = grouped.setdefault((image.source, image.group), [])
        own.append((image.frame_index, Path(image.file_name).name))
    return [[(name, index) for index, name in sorted(own)] for own in grouped.values()]
