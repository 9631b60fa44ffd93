"""How sure labels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.candidates.exemplar_masks import ExemplarMasks
from edgeloop.labeling.scoring.calibrate import ScoreCalibrator, fit_calibrator
from edgeloop.labeling.scoring.held_out import HeldOutFrame


def candidate(
    x: float, class_scores: tuple[float, ...] | None, *, sam_score: float = 0.5, source: str = "similar"
) -> Candidate:
    scores = None if class_scores is None else np.array(class_scores, np.float32)
    return Candidate(np.array([x, 0, x + 10, 10], np.float32), None, False, sam_score, scores, source)


def held_out_frame(found: list[Candidate], right: int, number: int = 0) -> HeldOutFrame:
    """A frame on which the first so many of the candidates are objects of class 0."""
    boxes = np.array([c.xyxy for c in found[:right]], np.float32).reshape(-1, 4)
    image, class_id = np.zeros((1, 1, 3), np.uint8), np.zeros(right, np.int64)
    return HeldOutFrame(ExemplarMasks(number, image, boxes, class_id, [None] * right), found)


def cases(looks_right: float, looks_wrong: float) -> tuple[list[HeldOutFrame], list[NDArray[np.float32]]]:
    """Two frames; the prompter says 0.6 of everything, the class model tells right from wrong."""
    found = [candidate(20 * i, (0.6,)) for i in range(16)]
    looks = np.array([[looks_right]] * 8 + [[looks_wrong]] * 8, np.float32)
    return [held_out_frame(found, 8, number) for number in range(2)], [looks] * 2


def boxes_of(held_out: list[HeldOutFrame]) -> list[NDArray[np.float32]]:
    """As found: no fitter moves them."""
    return [np.stack([candidate.xyxy for candidate in own.found]) for own in held_out]


def test_plain_calibrator_takes_the_mean_of_both_opinions() -> None:
    looks = np.array([[0.8, 0.1], [0.8, 0.1]], np.float32)
    scores = ScoreCalibrator().scores([candidate(0, (0.2, 0.9)), candidate(0, None)], looks)
    assert scores[0] == pytest.approx([0.5, 0.5])
    assert scores[1] == pytest.approx([0.8, 0.1]), "looks alone where the prompter has no opinion"


def test_calibrator_learns_whom_to_trust() -> None:
    held_out, looks = cases(looks_right=0.7, looks_wrong=0.3)
    learned = fit_calibrator(held_out, looks, boxes_of(held_out))
    opinions = np.array([[0.7], [0.3]], np.float32)
    of_right, of_wrong = learned.scores([candidate(0, (0.6,))] * 2, opinions)[:, 0]
    plain_right, plain_wrong = ScoreCalibrator().scores([candidate(0, (0.6,))] * 2, opinions)[:, 0]
    assert of_right > plain_right
    assert of_wrong < plain_wrong


def test_a_box_that_is_fitted_to_its_object_is_right() -> None:
    """What counts is where the label ends, not where SAM was asked."""
    held_out, looks = cases(looks_right=0.7, looks_wrong=0.3)
    loose = [HeldOutFrame(own.frame, [*shifted(own.found[:8]), *own.found[8:]]) for own in held_out]
    opinions, some = np.array([[0.7]], np.float32), [candidate(0, (0.6,))]
    as_found, fitted = (
        fit_calibrator(loose, looks, boxes).scores(some, opinions)[0, 0]
        for boxes in (boxes_of(loose), boxes_of(held_out))
    )
    assert fitted > as_found


def shifted(found: Sequence[Candidate]) -> list[Candidate]:
    """So far that they overlap their objects by less than half."""
    return [replace(c, xyxy=c.xyxy + np.array([0, 5, 0, 5], np.float32)) for c in found]


def test_each_prompter_is_trusted_as_far_as_it_was_right() -> None:
    """And SAM: of the one prompter's candidates those are right of whose mask it is sure."""
    good = [candidate(20 * i, None, source="motion", sam_score=0.9 if i < 12 else 0.5) for i in range(24)]
    bad = [candidate(20 * i, None, source="other") for i in range(100, 120)]
    held_out = [held_out_frame([*good, *bad], 12, number) for number in range(2)]
    learned = fit_calibrator(held_out, [np.full((44, 1), 0.6, np.float32)] * 2, boxes_of(held_out))
    asked = [good[0], good[-1], bad[0]]
    sure, unsure, elsewhere = learned.scores(asked, np.full((3, 1), 0.6, np.float32))[:, 0]
    assert sure > unsure
    assert elsewhere == pytest.approx(0.6), "nothing was right there, so nothing was learned"


def test_a_detector_that_knows_the_frames_is_trusted_no_further_for_it() -> None:
    found = [candidate(20 * i, (0.9 if i < 12 else 0.1,), source="detector") for i in range(24)]
    held_out = [held_out_frame(found, 12, number) for number in range(2)]
    looks = [np.full((24, 1), 0.6, np.float32)] * 2
    learned, asked = fit_calibrator(held_out, looks, boxes_of(held_out)), found[:1]
    opinion = np.array([[0.6]], np.float32)
    np.testing.assert_array_equal(learned.scores(asked, opinion), ScoreCalibrator().scores(asked, opinion))


@pytest.mark.parametrize("frames", [pytest.param(1, id="one frame"), pytest.param(0, id="none")])
def test_nothing_to_learn_from(frames: int) -> None:
    """Pictures made of one frame are no further frames."""
    held_out, looks = cases(0.7, 0.3)
    several, said = held_out[:frames] * 2, looks[:frames] * 2
    learned = fit_calibrator(several, said, boxes_of(several))
    opinions = np.array([[0.3]], np.float32)
    some = [candidate(0, (0.6,))]
    np.testing.assert_array_equal(learned.scores(some, opinions), ScoreCalibrator().scores(some, opinions))
