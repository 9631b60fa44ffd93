"""Where SAM is asked to look."""

from __future__ import annotations

import numpy as np
import pytest

from edgeloop.labeling.candidates.exemplar_masks import ExemplarMasks
from edgeloop.labeling.inputs.exemplars import Exemplars, read_exemplars
from edgeloop.labeling.prompts import GridPrompter, SimilarPrompter, check_prompters
from edgeloop.labeling.sam import load
from edgeloop.labeling.scoring.held_out import segment_exemplars
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.errors import UsageError
from tests.labeling.footage import Footage


@pytest.fixture(scope="module")
def exemplars(footage: Footage) -> Exemplars:
    return read_exemplars(footage.exemplars, footage.frames)


@pytest.fixture(scope="module")
def frames(exemplars: Exemplars) -> list[ExemplarMasks]:
    return segment_exemplars(exemplars, load("nano", offline=True))


@pytest.fixture(scope="module")
def similar(_slow: None, exemplars: Exemplars, frames: list[ExemplarMasks]) -> SimilarPrompter:
    return SimilarPrompter.fit(frames, len(exemplars.names))


@pytest.mark.slow
def test_similar_finds_what_the_exemplars_show(footage: Footage, similar: SimilarPrompter) -> None:
    found = right = wanted = asked = 0
    for index in range(6010, 6310, 30):
        truth = footage.scene.truth(index)
        (prompts,) = similar.propose(footage.scene.render(index))
        assert prompts.class_scores is not None
        iou = iou_matrix(truth.xyxy, prompts.coords)
        named = prompts.class_scores.argmax(axis=1)
        hits = [row for row in range(len(truth)) if iou[row].max(initial=0) >= 0.5]
        found += len(hits)
        right += sum(named[iou[row].argmax()] == truth.class_id[row] for row in hits)
        wanted += len(truth)
        asked += len(prompts)
    assert found / wanted >= 0.7
    assert right / found >= 0.85
    assert asked <= 4 * wanted


def test_holding_out_leaves_the_frame_out(frames: list[ExemplarMasks], similar: SimilarPrompter) -> None:
    """Heads are surer of the boxes they were shown than of those they were not."""
    seen: list[float] = []
    unseen: list[float] = []
    for frame in frames:
        for (prompts,), sure in (
            (similar.propose(frame.image), seen),
            (similar.propose_held_out(frame.image, frame.number), unseen),
        ):
            assert prompts.class_scores is not None
            overlap = iou_matrix(frame.xyxy, prompts.coords) >= 0.5
            sure.extend((overlap * prompts.class_scores.max(axis=1)).max(axis=1, initial=0).tolist())
    assert np.mean(seen) > np.mean(unseen) + 0.05


@pytest.mark.slow
def test_the_same_seed_gives_the_same_prompts(
    frames: list[ExemplarMasks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeloop.labeling.prompts.similar.TRAINING_STEPS", 36)
    monkeypatch.setattr("edgeloop.labeling.prompts.training_views._VIEWS", 2)
    image = frames[0].image
    monkeypatch.setattr("edgeloop.labeling.prompts.similar._LEAST_PROBABILITY", 0.0)
    (one,), (other,) = (SimilarPrompter.fit(frames, 3, seed=4).propose(image) for _ in range(2))
    assert len(one) > 0
    np.testing.assert_array_equal(one.coords, other.coords)
    np.testing.assert_array_equal(one.class_scores, other.class_scores)


@pytest.mark.parametrize(
    ("size", "points"),
    [
        pytest.param((320, 240), 16 * 12, id="landscape"),
        pytest.param((90, 160), 9 * 16, id="portrait"),
        pytest.param((1600, 10), 16, id="a strip"),
    ],
)
def test_grid(size: tuple[int, int], points: int) -> None:
    (prompts,) = GridPrompter().propose(np.zeros((size[1], size[0], 3), np.uint8))
    assert prompts.coords.shape == (points, 2)
    assert not prompts.are_boxes
    assert prompts.coords.min() > 0
    assert (prompts.coords < size).all()


@pytest.mark.parametrize("names", [(), ("motion", "motion"), ("motion", "magic"), ("",)])
def test_unknown_prompters(names: tuple[str, ...]) -> None:
    told = "expected some of similar, motion, detector, propagate, grid, each once"
    with pytest.raises(UsageError, match=told):
        check_prompters(names, [])
