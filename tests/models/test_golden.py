from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.models.bundle.golden import (
    TOLERANCES,
    Difference,
    array_digest,
    compare_golden,
    golden_image,
    golden_record,
)
from edgeloop.models.errors import ModelError
from edgeloop.models.heads import Head

IMAGE = golden_image((64, 48))


def test_the_golden_image_is_the_same_everywhere() -> None:
    assert (IMAGE.shape, IMAGE.dtype) == ((48, 64, 3), "uint8")
    assert array_digest(IMAGE) == "5b36d2bcbf6d42fb416b7a1818b38b6bd5ff83d69b5ad98c125f06fdd60686b3"


def test_the_golden_image_has_contrast_in_every_channel() -> None:
    assert golden_image((320, 320)).std(axis=(0, 1)).min() > 50


def test_a_digest_tells_values_shapes_and_types_apart() -> None:
    zeros = np.zeros((2, 3), np.float32)
    others = [zeros + 1, zeros.T, zeros.astype(np.int32), zeros.reshape(6)]
    assert len({array_digest(array) for array in (zeros, *others)}) == 5
    assert array_digest(np.asfortranarray(zeros)) == array_digest(zeros)


def answer(head: Head) -> NDArray[np.float32]:
    """60 boxes of 3 classes, as a head writes them."""
    rng = np.random.default_rng(4)
    boxes, scores = rng.uniform(0, 64, (60, 4)), rng.uniform(1e-3, 0.9, (60, 3))
    if head == "classic":
        return np.concatenate((boxes, scores), axis=1).T[None].astype(np.float32)
    order = np.argsort(-scores.max(axis=1))
    best = np.stack((scores.max(axis=1), scores.argmax(axis=1)), axis=1)
    return np.concatenate((boxes, best), axis=1)[order][None].astype(np.float32)


HEADS = pytest.mark.parametrize("head", ["classic", "end2end"])


@HEADS
def test_the_record_keeps_the_rows_of_which_the_model_is_surest(head: Head) -> None:
    output = answer(head)
    golden = golden_record(head, IMAGE, [output])
    assert golden.input_sha256 == array_digest(IMAGE)
    assert golden.output_sha256 == array_digest(output)
    scores = [row.score for row in golden.rows]
    assert len(scores) == 32
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx((output[0, 4:] if head == "classic" else output[0, :, 4]).max())
    assert compare_golden(golden, head, [output]).within(Difference(1e-4, 1e-4))


@HEADS
def test_the_difference_is_that_of_the_worst_row(head: Head) -> None:
    golden = golden_record(head, IMAGE, [answer(head)])
    row = golden.rows[5]
    output = answer(head)
    place = (slice(None), row.place) if head == "classic" else (row.place, slice(None))
    output[0][place][0] += 0.25
    output[0][place][4 + (row.class_id if head == "classic" else 0)] *= 0.98
    difference = compare_golden(golden, head, [output])
    odds = row.score / (1 - row.score)
    expected = np.log(odds) - np.log(row.score * 0.98 / (1 - row.score * 0.98))
    assert difference.box_px == pytest.approx(0.25, abs=1e-3)
    assert difference.logit == pytest.approx(expected, abs=1e-3)


def test_rows_that_swapped_places_are_the_same_answer() -> None:
    output = answer("end2end")
    golden = golden_record("end2end", IMAGE, [output])
    assert compare_golden(golden, "end2end", [output[:, ::-1]]).within(Difference(1e-4, 1e-4))


def test_a_class_that_is_gone_is_infinitely_far() -> None:
    output = answer("end2end")
    golden = golden_record("end2end", IMAGE, [output])
    output[0, output[0, :, 5] == golden.rows[0].class_id, 5] = 7
    assert compare_golden(golden, "end2end", [output]) == Difference(np.inf, np.inf)


def test_rows_as_good_as_the_last_of_a_list_are_not_kept() -> None:
    output = answer("end2end")
    output[0, 3:, 4] = 0.2  # any of them could give way to a box beyond the list
    assert len(golden_record("end2end", IMAGE, [output]).rows) == 3


@HEADS
def test_what_is_no_number_is_never_within_tolerance(head: Head) -> None:
    golden = golden_record(head, IMAGE, [answer(head)])
    broken = np.full_like(answer(head), np.nan)
    assert not compare_golden(golden, head, [broken]).within(TOLERANCES["int8"])
    half = answer(head)
    half[0, 0] = np.nan
    assert not compare_golden(golden, head, [half]).within(TOLERANCES["int8"])


def test_a_record_of_another_model_is_refused() -> None:
    golden = golden_record("classic", IMAGE, [answer("classic")])
    with pytest.raises(ModelError, match=r"names cell .* the output has 2 cells"):
        compare_golden(golden, "classic", [answer("classic")[:, :, :2]])


def test_less_precision_is_allowed_more() -> None:
    assert TOLERANCES["fp32"].within(TOLERANCES["fp16"])
    assert TOLERANCES["fp16"].within(TOLERANCES["int8"])
