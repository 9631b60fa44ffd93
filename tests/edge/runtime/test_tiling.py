"""Tiles of large images, and the merge of what was found in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.tiling import find_regions, merge_regions
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections
from edgeloop.models.facts.overrides import SpecOverrides
from tests.calls import Outcome

REGIONS = find_regions((1000, 500), 500, 0.2)  # the whole, then tiles from x 0, 250 and 500


def boxes(*rows: tuple[float, float, float, float, float], class_id: int = 0) -> Detections:
    values = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(values[:, :4], values[:, 4], np.full(len(rows), class_id, np.int64))


def merged(*found: Detections, limit: int = 300) -> list[list[float]]:
    parts = [*found, *(boxes() for _ in range(len(REGIONS) - len(found)))]
    return merge_regions(parts, REGIONS, limit=limit).xyxy.tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(64, 1000), st.floats(0, 0.9))
def test_tiles_cover_the_image_and_overlap(width: int, height: int, tile: int, overlap: float) -> None:
    whole, *tiles = find_regions((width, height), tile, overlap)
    assert whole == (0, 0, width, height)
    assert bool(tiles) == (max(width, height) > tile)
    for axis, length in ((0, width), (1, height)):
        spans = sorted({(region[axis], region[axis + 2]) for region in tiles})
        if spans:
            assert spans[0][0] == 0
            assert spans[-1][1] == length
        for (_, end), (start, _) in pairwise(spans):
            assert end - start >= tile * overlap - 1


def test_an_object_that_two_tiles_see_is_there_once() -> None:
    assert merged(boxes(), boxes((300, 100, 340, 140, 0.7)), boxes((301, 100, 341, 141, 0.9))) == [
        [301, 100, 341, 141]
    ]


def test_neighbors_within_one_tile_both_stay() -> None:
    crowd = boxes((20, 20, 60, 60, 0.9), (30, 20, 70, 60, 0.8))
    assert len(merged(boxes(), crowd)) == 2


def test_classes_do_not_suppress_each_other() -> None:
    assert len(merged(boxes((10, 10, 50, 50, 0.9)), boxes((10, 10, 50, 50, 0.8), class_id=1))) == 2


def test_a_part_gives_way_to_the_whole_even_if_it_is_surer() -> None:
    assert merged(boxes((100, 50, 800, 450, 0.5)), boxes((100, 50, 500, 450, 0.9))) == [[100, 50, 800, 450]]


def test_a_small_object_in_front_of_a_large_one_of_its_class_stays() -> None:
    assert len(merged(boxes((100, 50, 800, 450, 0.9)), boxes((200, 100, 240, 140, 0.5)))) == 2


def test_halves_of_a_long_object_are_joined() -> None:
    halves = (
        boxes((100, 200, 500, 220, 0.6)),
        boxes((250, 201, 750, 221, 0.7)),
        boxes((500, 200, 900, 220, 0.5)),
    )
    assert merged(boxes(), *halves) == [[100, 200, 900, 221]]


def test_the_most_confident_are_kept() -> None:
    assert merged(boxes((0, 0, 9, 9, 0.3)), boxes((50, 50, 60, 60, 0.8)), limit=1) == [[50, 50, 60, 60]]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60))
def test_no_two_of_a_class_from_different_tiles_are_the_same(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    parts = []
    for x1, y1, x2, y2 in REGIONS:
        corner = rng.uniform((x1, y1), (x2 - 20, y2 - 20), (count, 2))
        xyxy = np.concatenate((corner, np.minimum(corner + rng.uniform(5, 90, (count, 2)), (x2, y2))), axis=1)
        parts.append(
            Detections(xyxy.astype(np.float32), rng.random(count, np.float32), np.zeros(count, np.int64))
        )
    found = merge_regions(parts, REGIONS, limit=10_000)
    assert (np.diff(found.confidence) <= 0).all()
    assert len(found) <= len(REGIONS) * count
    same = np.triu(iou_matrix(found.xyxy, found.xyxy) > 0.95, 1)
    assert not same.any()


def picture(*corners: tuple[int, int], size: tuple[int, int] = (960, 540), side: int = 6) -> np.ndarray:
    image = np.full((size[1], size[0], 3), 40, np.uint8)
    for x, y in corners:
        image[y : y + side, x : x + side] = 255
    return image


def test_tiles_find_what_the_scaled_down_image_hides(block_model: Path) -> None:
    image = picture((800, 400))
    assert len(Detector(block_model, provider="cpu").detect(cv2.GaussianBlur(image, (9, 9), 0))) == 0
    tiled = Detector(block_model, provider="cpu", overrides=SpecOverrides(tile=128))
    found = tiled.detect(image)
    assert found.xyxy == pytest.approx(np.array([[800, 400, 806, 406]]), abs=0.01)
    # The same detector takes images that need no tiles.
    assert len(tiled.detect(picture((30, 40), size=(128, 128)))) == 1


def test_run_with_tiles_tracks_as_without(
    edgeloop: Callable[..., Outcome], block_model: Path, clip: Path
) -> None:
    pytest.importorskip("trackers")
    said = edgeloop("run", block_model, clip, "--tile", 100, "--tile-overlap", 0.5, "--track", "--json")
    assert said.code == 0, said.err
    lines = [json.loads(line) for line in said.out.splitlines()]
    ids = {box["tracker_id"] for line in lines for box in line["detections"] if "tracker_id" in box}
    assert len(lines) == 40
    assert max(len(line["detections"]) for line in lines) == 1
    assert len(ids - {-1, None}) == 1
