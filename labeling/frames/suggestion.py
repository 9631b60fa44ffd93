"""Suggestion of the frames that are most worth boxing: greedy facility location over local features."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from edgeloop.edge.frames.folder import read_frames
from edgeloop.edge.host.opencv import read_image, require_image
from edgeloop.labeling.features.backbone import STRIDES, extract_features, preprocess, working_size
from edgeloop.labeling.inputs.exemplars import read_exemplars
from edgeloop.labeling.step_progress import Progress, no_progress
from edgeloop.models.errors import DataError

__all__ = ["Suggestion", "describe_cells", "select_frames", "suggest_frames"]

log = logging.getLogger(__name__)

_MAX_FRAMES = 10_000
_LONGER_SIDE_PX = 256
_LEVEL = STRIDES.index(16)
_GRID = 4  # cells per side: one mean of the whole frame hardly changes with a small object
_REFERENCE_CELLS = 2_000  # with 10,000 frames, their similarities take 80 MB


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Frames to box next.

    Attributes:
        files: Names of the suggested frames, the most representative first.
        compared: Frames that were read and compared, boxed ones included.
        boxed: Frames that are boxed already.
        skipped: Names of frames that cannot be read.
        frames_per_s: Frames read and compared per second.
    """

    files: tuple[str, ...]
    compared: int
    boxed: int
    skipped: tuple[str, ...]
    frames_per_s: float


def suggest_frames(
    folder: Path, count: int, *, exemplars: Path | None = None, progress: Progress = no_progress
) -> Suggestion:
    """Suggest the frames of a folder whose boxes would teach most.

    Of a folder with more than 10,000 frames, 10,000 evenly spread ones are compared.

    Args:
        folder: Frames as `read_frames` lists them.
        count: Number of frames to suggest, at least 1.
        exemplars: Boxes as for `read_exemplars`; their frames count as chosen.
        progress: Opens a progress bar.

    Raises:
        NoInputError: There is no such folder, no frame in it, or no such exemplars.
        DataError: Fewer than `count` frames can be read and are not boxed, or the frames or exemplars are
            malformed.
    """
    entries = read_frames(folder)
    boxed = [] if exemplars is None else [frame.path for frame in read_exemplars(exemplars, folder).frames]
    is_boxed = [(folder / entry.file).resolve() in boxed for entry in entries]
    _require(len(entries) - sum(is_boxed), count, folder)
    spread = np.linspace(0, len(entries) - 1, min(len(entries), _MAX_FRAMES)).round().astype(int)
    candidates = [entries[position] for position in spread if not is_boxed[position]]

    start = time.monotonic()
    described = [describe_cells(require_image(path)) for path in boxed]
    kept, skipped = [], []
    with progress(len(candidates), "Comparing") as advance:
        for entry in candidates:
            image = read_image(folder / entry.file)
            if image is None:
                skipped.append(entry.file)
            else:
                described.append(describe_cells(image))
                kept.append(entry)
            advance(1)
    if skipped:
        log.warning("%s: %d frames cannot be read and are skipped: %s", folder, len(skipped), _some(skipped))
    _require(len(kept), count, folder)
    chosen = select_frames(np.stack(described), count, len(boxed), [entry.source for entry in kept])
    return Suggestion(
        files=tuple(kept[position].file for position in chosen),
        compared=len(described),
        boxed=len(boxed),
        skipped=tuple(skipped),
        frames_per_s=len(described) / (time.monotonic() - start),
    )


def select_frames(
    cells: NDArray[np.float32], count: int, boxed: int, sources: Sequence[str]
) -> tuple[int, ...]:
    """Select the frames whose cells resemble the cells of all frames best.

    Greedy facility location (Nemhauser, Wolsey and Fisher 1978): each step takes the frame that raises the
    sum, over a sample of all cells, of the similarity to the most similar chosen cell by most. Frames next to
    a selected one in their source, within half of an even spacing, are left out, which spreads the
    selection over a film.

    Args:
        cells: float32 (boxed + N, C, D), features of length 1 of the cells of each frame: of the boxed
            frames, then of the candidates in the order in which they were taken.
        count: Number of candidates to select, at most N.
        boxed: Number of frames that count as chosen.
        sources: Source of each candidate, (N,).

    Returns:
        Indices of candidates, in the order of selection.
    """
    flat = cells.reshape(-1, cells.shape[2])
    sample = np.linspace(0, len(flat) - 1, min(len(flat), _REFERENCE_CELLS)).round().astype(int)
    reference = flat[sample].T
    similarity = np.stack([(own @ reference).max(axis=0) for own in cells])
    covered = similarity[:boxed].max(axis=0, initial=0)
    similarity = similarity[boxed:]
    of_source = np.unique(np.array(sources), return_inverse=True)[1]
    positions = np.arange(len(similarity))
    # A selected frame excludes at most N / count frames, itself included: there is always one left.
    gap = (len(similarity) // count - 1) // 2
    free = np.ones(len(similarity), bool)
    chosen: list[int] = []
    for _ in range(count):
        gain = np.maximum(similarity, covered).sum(axis=1)
        best = int(np.where(free, gain, -1).argmax())
        chosen.append(best)
        covered = np.maximum(covered, similarity[best])
        free &= (np.abs(positions - best) > gap) | (of_source != of_source[best])
    return tuple(chosen)


def describe_cells(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe the cells of an image, HxWx3 uint8 BGR: float32 (cells, D), each of length 1."""
    size = working_size(image, _LONGER_SIDE_PX / max(image.shape[:2]))
    pooled = F.adaptive_avg_pool2d(extract_features(preprocess(image, size))[_LEVEL], _GRID)
    return np.asarray(F.normalize(pooled[0].flatten(1).T, dim=1).numpy(), np.float32)


def _require(found: int, count: int, folder: Path) -> None:
    if found < count:
        raise DataError(
            f"{folder}: expected at least {count} frames that can be read and are not boxed, got {found}; "
            "lower --count, or collect more frames"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
