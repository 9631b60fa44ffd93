from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeloop.export.data.image_cache import ImageCache
from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.learn.augment import Augmentation, Canvas
from edgeloop.export.learn.batches import Batch, _indices, batches

_SETTINGS = Augmentation()


@pytest.fixture(scope="module")
def cache(dataset: Path) -> ImageCache:
    return ImageCache(open_dataset(dataset).train[:10], 96, "Reading")


def _drawn(cache: ImageCache, count: int, first: int = 0) -> list[Batch]:
    stream = batches(cache, 4, Canvas(96, 96, 96), _SETTINGS, seed=7, first=first)
    found = list(islice(stream, count))
    stream.close()
    return found


def test_a_batch_depends_on_seed_and_number_alone(cache: ImageCache) -> None:
    all_of_them, last = _drawn(cache, 4), _drawn(cache, 1, first=3)
    assert torch.equal(all_of_them[3].images, last[0].images)
    assert torch.equal(all_of_them[3].targets.xyxy, last[0].targets.xyxy)
    assert not torch.equal(all_of_them[2].images, last[0].images)


def test_every_image_is_drawn_once_per_pass() -> None:
    drawn = [index for number in range(5) for index in _indices(10, 4, seed=1, number=number)]
    assert sorted(drawn[:10]) == list(range(10))
    assert sorted(drawn[10:]) == list(range(10))
    assert drawn[:10] != drawn[10:]


def test_images_are_rgb_and_boxes_in_px(cache: ImageCache) -> None:
    (batch,) = _drawn(cache, 1)
    assert batch.images.shape == (4, 3, 96, 96)
    assert batch.images.dtype == torch.uint8
    assert ((batch.targets.xyxy >= 0) & (batch.targets.xyxy <= 96)).all()
    assert batch.targets.image.max() < 4


def test_images_beyond_the_memory_limit_are_read_from_disk(
    dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = open_dataset(dataset).train[:10]
    kept, read = ImageCache(images, 96, "Reading"), ImageCache(images, 96, "Reading", limit_bytes=0)
    assert not read._kept
    assert caplog.messages == [
        "Reading: 0 of 10 images fit in memory; the others are read from disk each time, which takes longer"
    ]
    assert len(kept._kept) == 10
    assert all((kept.image(index) == read.image(index)).all() for index in range(10))


def test_a_box_ends_at_the_edge_of_its_image(dataset: Path) -> None:
    image = replace(
        open_dataset(dataset).train[0],
        class_id=np.zeros(1, np.int64), xywh=np.array([[0, 0.5, 0.5, 0.5]], np.float32),
    )  # fmt: skip
    _, shares = ImageCache([image], 96, "Reading").labels(0)
    assert shares.tolist() == [[0, 0.25, 0.25, 0.75]]
