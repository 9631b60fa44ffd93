"""Batches of augmented images, prepared by a thread while the detector trains."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeloop.export.data.image_cache import ImageCache
from edgeloop.export.learn.assign import Targets
from edgeloop.export.learn.augment import Augmentation, Canvas, Sample, augmented
from edgeloop.export.learn.mask_targets import MaskTargets, draw_outlines

__all__ = ["Batch", "batches", "stacked"]


class Batch(NamedTuple):
    """Images and objects of one step.

    Attributes:
        images: RGB uint8 (B, 3, H, W), channels last in memory.
        targets: Objects, boxes in px of the images.
        masks: Their masks; None for labels that are boxes.
    """

    images: Tensor
    targets: Targets
    masks: MaskTargets | None = None


def batches(
    cache: ImageCache, size: int, canvas: Canvas, augmentation: Augmentation, *, seed: int, first: int = 0
) -> Generator[Batch]:
    """Draw batches without end; every image is drawn once per pass.

    Batch number k depends on the seed and k alone, so a resumed training sees the same images.

    Args:
        cache: Images.
        size: Images per batch.
        canvas: Size of the images.
        augmentation: Strength of each augmentation.
        seed: Random seed.
        first: Number of the first batch.

    Yields:
        The next batch; the one after it is being prepared.
    """
    with ThreadPoolExecutor(1, "edgeloop-batches") as pool:
        ahead = pool.submit(_batch, cache, size, canvas, augmentation, seed, first)
        while True:
            batch = ahead.result()
            first += 1
            ahead = pool.submit(_batch, cache, size, canvas, augmentation, seed, first)
            yield batch


def stacked(samples: Sequence[Sample]) -> Batch:
    """Stack samples of the same size, with masks if all have outlines."""
    images = np.empty((len(samples), *samples[0].image.shape), np.uint8)
    for sample, image in zip(samples, images, strict=True):
        cv2.cvtColor(sample.image, cv2.COLOR_BGR2RGB, dst=image)
    counts = [len(sample.class_id) for sample in samples]
    return Batch(
        torch.from_numpy(images).permute(0, 3, 1, 2),
        Targets(
            torch.from_numpy(np.repeat(np.arange(len(samples)), counts)),
            torch.from_numpy(np.concatenate([sample.class_id for sample in samples])),
            torch.from_numpy(np.concatenate([sample.xyxy for sample in samples]).astype(np.float32)),
        ),
        _masks(samples),
    )


def _masks(samples: Sequence[Sample]) -> MaskTargets | None:
    """Draw the masks of samples of the same size; None if one has no outlines."""
    outlines: list[NDArray[np.float32]] = []
    for sample in samples:
        if sample.outlines is None:
            return None
        outlines += sample.outlines
    height, width = samples[0].image.shape[:2]
    return draw_outlines(outlines, np.concatenate([sample.xyxy for sample in samples]), (width, height))


def _batch(
    cache: ImageCache, size: int, canvas: Canvas, augmentation: Augmentation, seed: int, number: int
) -> Batch:
    rng = np.random.default_rng((seed, number))

    def draw() -> Sample:
        return _sample(cache, int(rng.integers(len(cache))))

    indices = _indices(len(cache), size, seed, number)
    return stacked([augmented(_sample(cache, index), draw, canvas, augmentation, rng) for index in indices])


def _indices(count: int, size: int, seed: int, number: int) -> list[int]:
    """Images of batch `number`: all passes in a row, each in an order of its own, cut into batches."""
    places = range(number * size, (number + 1) * size)
    orders = {
        turn: np.random.default_rng((seed, turn, count)).permutation(count)
        for turn in range(places[0] // count, places[-1] // count + 1)
    }
    return [int(orders[place // count][place % count]) for place in places]


def _sample(cache: ImageCache, index: int) -> Sample:
    image = cache.image(index)
    class_id, shares = cache.labels(index)
    outlines = cache.labeled[index].outlines
    height, width = image.shape[:2]
    size = np.array((width, height), np.float32)
    return Sample(
        image,
        class_id,
        shares * np.tile(size, 2),
        None if outlines is None else tuple(each * size for each in outlines),
    )
