"""Statistics of training frames, with a limit by the distances of frames that were held out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.drift.frame_description import FrameDescription, describe_frame
from edgeloop.edge.drift.frame_distance import FrameDistance
from edgeloop.edge.drift.static_edges import StaticEdges
from edgeloop.models.bundle.frame_statistics import FrameStatistics, pack

__all__ = ["LEAST_HELD_OUT", "LEAST_TRAINING", "learn_statistics"]

_Exposures = Sequence[FrameDescription]

LEAST_TRAINING, LEAST_HELD_OUT = 16, 6
"""Fewer frames say nothing about others."""

EXPOSURES = (1.0, 0.7, 1.3)
"""Factors of the brightness in which each frame counts: training shows frames so much brighter and darker."""

EXCEEDED = 1e-3
"""Share of frames like the held-out ones that are farther away than the limit."""

_AXES = 8
_PARTS = 5
_LEAST_SCALE = 0.01  # of a cell's brightness or color, and of a root of a share: noise and compression
_LEAST_VARIANCE = 0.1  # of a scaled value; few frames underestimate what hardly varies among them
_LOW = 0.01  # quantile that counts as the lowest
_SHARED_VIEW = 0.95  # share of held-out frames whose edges fit best where the mean edges are
_LEAST_FIT = 0.2  # correlation that frames of different places reach only by chance


def learn_statistics(
    training: Iterable[NDArray[np.uint8]], held_out: Iterable[NDArray[np.uint8]]
) -> FrameStatistics | None:
    """Compute what training frames look like, and how far from it such frames may be.

    Args:
        training: Images that a detector is trained on, HxWx3 uint8 BGR, in time order if they have one.
        held_out: Images of the same kind that it is not trained on.

    Returns:
        The statistics; None if there are too few images.
    """
    known = [[describe_frame(image, gain) for gain in EXPOSURES] for image in training]
    others = [[describe_frame(image, gain) for gain in EXPOSURES] for image in held_out]
    if len(known) < LEAST_TRAINING or len(others) < LEAST_HELD_OUT:
        return None
    taken = [each[0] for each in known]
    distance = _learn_distance(known)
    distances = [*_distances(distance, others), *_distances_of_parts(known)]
    edges = _shared_edges(taken, [each[0] for each in others])
    light = [each.brightness for each in taken]
    return FrameStatistics(
        frames=len(known),
        held_out=len(others),
        mean=pack(distance.mean.astype(np.float16)),
        scale=pack(distance.scale.astype(np.float16)),
        axes=pack(distance.axes.astype(np.float16)),
        variances=tuple(_rounded(value) for value in distance.variances),
        residual=_rounded(distance.residual),
        usual=_rounded(float(np.median(distances))),
        limit=_rounded(_upper_bound(distances)),
        brightness=(_rounded(min(light)), _rounded(max(light))),
        contrast=_rounded(float(np.quantile([each.contrast for each in taken], _LOW))),
        detail=_rounded(float(np.quantile([each.detail for each in taken], _LOW))),
        edges=None if edges is None else pack((edges * 127).round().astype(np.int8)),
    )


def _distances(distance: FrameDistance, groups: Sequence[_Exposures]) -> list[float]:
    """Distance of each frame: that of its farthest exposure, as exposures are no independent frames."""
    return [max(distance.of(each.values) for each in group) for group in groups]


def _distances_of_parts(groups: Sequence[_Exposures]) -> Iterator[float]:
    """Distances of each part of the frames, which are in time order, from the other parts.

    Frames of one time are more alike than those of another, so the held-out ones alone may be too near.
    """
    bounds = np.linspace(0, len(groups), _PARTS + 1).round().astype(int)
    for first, end in itertools.pairwise(bounds):
        distance = _learn_distance([*groups[:first], *groups[end:]])
        yield from _distances(distance, groups[first:end])


def _learn_distance(groups: Sequence[_Exposures]) -> FrameDistance:
    """Fit a normal distribution with a few principal axes, and one variance for all that they leave over."""
    values = np.stack([each.values for group in groups for each in group])
    mean = values.mean(axis=0)
    scale = np.maximum(values.std(axis=0), _LEAST_SCALE)
    scaled = (values - mean) / scale
    count = min(_AXES, len(values) // 8)
    _, singular, axes = np.linalg.svd(scaled, full_matrices=False)
    variances = singular**2 / len(values)
    residual = variances[count:].sum() / (values.shape[1] - count)
    along = np.asarray(variances[:count] + _LEAST_VARIANCE, np.float32)
    return FrameDistance(mean, scale, axes[:count], along, float(residual) + _LEAST_VARIANCE)


def _upper_bound(distances: list[float]) -> float:
    """Distance that a further frame exceeds with the probability `EXCEEDED`, if logarithms are normal.

    The bound allows for the mean and the deviation being those of a sample: it is wider of a few frames.
    """
    logs = np.log(distances)
    freedom = len(logs) - 1
    z = NormalDist().inv_cdf(1 - EXCEEDED)
    # Student's t by its expansion around the normal quantile (Abramowitz and Stegun 26.7.5).
    t = (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
    return math.exp(float(logs.mean()) + t * float(logs.std(ddof=1)) * math.sqrt(1 + 1 / len(logs)))


def _shared_edges(
    training: list[FrameDescription], held_out: list[FrameDescription]
) -> NDArray[np.float32] | None:
    """Mean edges, if held-out frames have them in the same places; None if the frames share no view."""
    edges = np.asarray(np.mean([each.edges for each in training], axis=0), np.float32)
    view = StaticEdges(edges)
    fits = [view.fit(each.edges) for each in held_out]
    shared = [not fit.moved and fit.here > _LEAST_FIT for fit in fits]
    return edges if np.mean(shared) >= _SHARED_VIEW else None


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
