"""The detector of bright places that files of several engines hold: its pictures, and what it must find."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.runtime.verification import verify

SIDE = 96
STRIDE = 8
GRID = SIDE // STRIDE


def picture(seed: int) -> np.ndarray:
    """Gray ground with one white cell of 8x8 px, its place after the seed."""
    image = np.full((SIDE, SIDE, 3), 20, np.uint8)
    row, column = divmod(seed % (GRID * GRID), GRID)
    image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 255
    return image


def check_bright_cell(model: Path) -> None:
    """A bright cell is found at its place."""
    found = Detector(model).detect(picture(4 * GRID + 7))
    assert found.xyxy.tolist() == [[8 * 7.5 - 8, 8 * 4.5 - 8, 8 * 7.5 + 8, 8 * 4.5 + 8]]
    assert found.confidence[0] == pytest.approx(1 / (1 + np.exp(-10)), abs=1e-4)


def check_threads_agree(model: Path, threads: int) -> None:
    """Eight callers at a time find what one finds."""
    detector = Detector(model, threads=threads)
    images = [picture(seed) for seed in range(GRID * GRID)]
    alone = [detector.detect(image) for image in images]
    assert len({tuple(found.xyxy[0]) for found in alone if len(found)}) > 100
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(detector.detect, images * 4))
    for found, expected in zip(together, alone * 4, strict=True):
        np.testing.assert_array_equal(found.xyxy, expected.xyxy)
        np.testing.assert_array_equal(found.confidence, expected.confidence)


def check_verifies(model: Path) -> None:
    """The file verifies by its facts."""
    found = verify(model)
    assert (found.sealed, found.opset, found.schema_version) == (True, None, 3)
    assert found.golden.verdict == "identical"
