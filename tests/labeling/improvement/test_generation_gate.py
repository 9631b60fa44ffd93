"""Gate of a generation: its score against the current one's, on old and new held-out frames."""

from __future__ import annotations

import pytest

from edgeloop.labeling.improvement.generation_gate import refusal
from edgeloop.labeling.lineage.generation import HeldOutScores


def scores(parent: float | None, own: float) -> HeldOutScores:
    return HeldOutScores(frames=8, parent=parent, own=own, parent_map50_95=parent, own_map50_95=own)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(scores(0.9, 0.9), scores(0.5, 0.6), id="gains on new frames"),
        pytest.param(scores(0.9, 0.89), scores(0.5, 0.6), id="loses within the tolerance"),
        pytest.param(scores(0.9, 0.9), None, id="no new frame was held out"),
        pytest.param(None, scores(None, 0.2), id="nothing to compare with"),
    ],
)
def test_a_generation_may_be_used(old: HeldOutScores | None, new: HeldOutScores | None) -> None:
    assert refusal(old, new, 0.02) is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param(scores(0.9, 0.87), scores(0.5, 0.9), "loses 0.030 of mAP50 0.900", id="forgets"),
        pytest.param(scores(0.9, 0.95), scores(0.5, 0.5), "gains nothing on 8 new", id="gains nothing"),
        pytest.param(scores(0.9, 0.89), None, "gains nothing: no object on new", id="shows no gain"),
        pytest.param(None, None, "nothing to compare on", id="no object is held out"),
    ],
)
def test_a_generation_stays_out_of_use(
    old: HeldOutScores | None, new: HeldOutScores | None, reason: str
) -> None:
    assert reason in str(refusal(old, new, 0.02))
