"""Moving objects are confirmed by the frames before and after."""

from __future__ import annotations

import pytest

from edgeloop.labeling.ledger import FrameResult, Label
from edgeloop.labeling.motion.confirm import confirm_moving

CONFIDENCE = 0.4


def frame(*labels: tuple[float, float], by_person: bool = False) -> FrameResult:
    """A frame with a 20 px box at each x, and its score."""
    made = [
        Label(xyxy=(x, 0, x + 20, 20), class_id=0, score=score, prompt="motion", sam_score=0.9)
        for x, score in labels
    ]
    return FrameResult(
        file="a.jpg",
        labels=tuple(label for label in made if label.score >= CONFIDENCE),
        unsure=tuple(label for label in made if label.score < CONFIDENCE),
        by_person=by_person,
    )


STEADY = (90, 0.8)


@pytest.mark.parametrize(
    ("frames", "recordings", "sure"),
    [
        pytest.param(
            [frame(STEADY, (0, 0.5)), frame(STEADY, (4, 0.38)), frame(STEADY, (8, 0.5))],
            [0, 0, 0],
            2,
            id="goes on",
        ),
        pytest.param([frame(STEADY), frame(STEADY, (0, 0.5)), frame(STEADY)], [0, 0, 0], 1, id="flicker"),
        pytest.param(
            [frame((90, 0.5)), frame((0, 0.5)), frame((90, 0.5))], [0, 0, 0], 1, id="far apart in time"
        ),
        pytest.param(
            [frame(STEADY, (0, 0.5)), frame(STEADY, (4, 0.38)), frame(STEADY, (8, 0.5))],
            [0, 1, 2],
            1,
            id="other recordings",
        ),
        pytest.param([frame(), frame((0, 0.5)), frame()], [0, 0, 0], 1, id="nothing beside"),
        pytest.param(
            [frame(STEADY), frame(STEADY, (0, 0.5), by_person=True), frame(STEADY)],
            [0, 0, 0],
            2,
            id="a person's box",
        ),
        pytest.param([frame(), frame(), frame()], [0, 0, 0], 0, id="nothing"),
    ],
)
def test_middle_frame(frames: list[FrameResult], recordings: list[int], sure: int) -> None:
    _, middle, _ = confirm_moving(zip(recordings, frames, strict=True), confidence=CONFIDENCE)
    assert len(middle.labels) == sure
    assert len(middle.labels) + len(middle.unsure) == len(frames[1].labels) + len(frames[1].unsure)


def test_scores_stay_probabilities() -> None:
    results = [frame((0, 1.0)) for _ in range(3)]
    for result in confirm_moving(((0, each) for each in results), confidence=CONFIDENCE):
        assert 0 < result.labels[0].score <= 1
