"""Boxes end where the person would have drawn them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.inputs.exemplars import ExemplarFrame
from edgeloop.labeling.scoring.box_regression import fit_box_regressors, refine_boxes
from edgeloop.models.boxes import iou_matrix

SIZE = 240, 320  # height and width


def draw(path: Path, seed: int, objects: int = 4) -> ExemplarFrame:
    """Dark discs on noise, each boxed together with the bright bar on its right."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 150, (*SIZE, 3)).astype(np.uint8)
    boxes = []
    for number in range(objects):
        radius = int(rng.integers(14, 22))
        x, y = 50 + 70 * number, int(rng.integers(40, SIZE[0] - 40))
        cv2.circle(image, (x, y), radius, (30, 30, 30), cv2.FILLED)
        cv2.rectangle(image, (x + radius, y - 3), (x + 2 * radius, y + 3), (250, 250, 250), cv2.FILLED)
        boxes.append((x - radius, y - radius, x + 2 * radius + 1, y + radius + 1))
    cv2.imwrite(str(path), image)
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return ExemplarFrame(path, xyxy, np.zeros(len(xyxy), np.int64))


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.diag(iou_matrix(a, b)).mean())


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[ExemplarFrame]:
    folder = tmp_path_factory.mktemp("frames")
    return [draw(folder / f"{seed}.png", seed) for seed in range(4)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "off",
    [
        pytest.param((0, 0, -1 / 3, 0), id="without the bar"),
        pytest.param((-0.15, -0.15, 0.15, 0.15), id="too wide"),
        pytest.param((0.1, 0.1, -0.1, -0.1), id="too tight"),
        pytest.param((0.12, 0, 0.12, 0), id="beside it"),
    ],
)
def test_loose_boxes_move_to_objects_of_unseen_frames(
    frames: list[ExemplarFrame], off: tuple[float, ...]
) -> None:
    fitter, _ = fit_box_regressors(frames[:3])
    true = frames[3].xyxy
    loose = true + np.tile(true[:, 2:] - true[:, :2], 2) * np.array(off, np.float32)
    fitted = fitter.fitted(frames[3].image(), loose)
    assert 1 - overlap(fitted, true) < 0.8 * (1 - overlap(loose, true))


@pytest.mark.slow
def test_a_fitter_for_each_frame_has_not_seen_it(frames: list[ExemplarFrame]) -> None:
    """Its boxes there do not depend on what was drawn there."""
    shrunk = frames[0].xyxy + np.array([8, 8, -8, -8], np.float32)
    other = ExemplarFrame(frames[0].path, shrunk, frames[0].class_id)
    rough, image = frames[0].xyxy + 3, frames[0].image()
    (_, as_drawn), (_, drawn_smaller) = (
        fit_box_regressors([first, frames[1]]) for first in (frames[0], other)
    )
    np.testing.assert_array_equal(as_drawn[0].fitted(image, rough), drawn_smaller[0].fitted(image, rough))
    assert not np.array_equal(as_drawn[1].fitted(image, rough), drawn_smaller[1].fitted(image, rough))


@pytest.mark.slow
def test_frames_without_boxes_teach_nothing(frames: list[ExemplarFrame], tmp_path: Path) -> None:
    empty = draw(tmp_path / "empty.png", 9, objects=0)
    fitter, unseen = fit_box_regressors([empty, frames[0]])
    alone, _ = fit_box_regressors([frames[0]])
    rough, image = frames[1].xyxy + 3, frames[1].image()
    np.testing.assert_array_equal(fitter.fitted(image, rough), alone.fitted(image, rough))
    assert unseen[1] is fitter, "no other frame has boxes"


@pytest.mark.slow
def test_boxes_stay_inside_the_frame(frames: list[ExemplarFrame]) -> None:
    fitter, _ = fit_box_regressors(frames[:2])
    height, width = SIZE
    edges = np.array(
        [[0, 0, 9, 9], [width - 9, height - 9, width, height], [0, 0, width, height]], np.float32
    )
    fitted = fitter.fitted(frames[0].image(), edges)
    assert (fitted >= 0).all()
    assert (fitted <= [width, height, width, height]).all()
    assert (fitted[:, 2:] > fitted[:, :2]).all()
    assert fitter.fitted(frames[0].image(), edges[:0]).shape == (0, 4)


@pytest.mark.slow
def test_candidates_move_half_of_the_way(frames: list[ExemplarFrame]) -> None:
    fitter, _ = fit_box_regressors(frames[:3])
    image, loose = frames[3].image(), frames[3].xyxy + 4
    found = [Candidate(box, None, False, 0.0, None, "similar") for box in loose]
    wanted = fitter.fitted(image, loose) - loose
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(refine_boxes(fitter, image, found) - loose, wanted / 2, atol=1e-4)
    assert refine_boxes(fitter, image, []).shape == (0, 4)
