from __future__ import annotations

import pytest

from edgeloop.export.quantize.search import FloatPrefix, fastest_prefix, stages_in_float

# What each stage in float takes off a disagreement of 0.1.
GAINS = {"stem": 0.02, "first": 0.05, "middle": 0.005, "head": 0.0}


def free(_some: tuple[str, ...], _more: tuple[str, ...]) -> float:
    return 0.0


def trial(in_float: tuple[str, ...]) -> float:
    return 0.1 - sum(GAINS[stage] for stage in in_float)


def test_stages_that_hurt_stay_in_float_the_worst_first() -> None:
    alone, in_float, best = stages_in_float(trial, tuple(GAINS), 0.1, cost=free)
    assert alone == pytest.approx({"stem": 0.08, "first": 0.05, "middle": 0.095, "head": 0.1})
    assert in_float == ("first", "stem")
    assert best == pytest.approx(0.03)


def test_a_stage_that_gains_nothing_beside_another_is_quantized() -> None:
    def overlapping(in_float: tuple[str, ...]) -> float:
        return 0.1 - max(GAINS[stage] for stage in in_float)

    assert stages_in_float(overlapping, tuple(GAINS), 0.1, cost=free)[1:] == (("first",), pytest.approx(0.05))


def test_a_stage_that_costs_more_time_than_it_gains_is_quantized() -> None:
    def cost(some: tuple[str, ...], more: tuple[str, ...]) -> float:
        assert more[:-1] == some
        return 0.6 if more[-1] == "first" else 0.1

    assert stages_in_float(trial, tuple(GAINS), 0.1, cost=cost)[1:] == (("stem",), pytest.approx(0.08))


def test_what_agrees_is_not_searched() -> None:
    def never(in_float: tuple[str, ...]) -> float:
        raise AssertionError(in_float)

    assert stages_in_float(never, tuple(GAINS), 0.01, cost=free) == ({}, (), 0.01)


@pytest.mark.parametrize(
    ("case", "begins", "expected"),
    [
        (
            "the fastest",
            [((), 0.05, 8.0), (("stem",), 0.04, 7.0), (("stem", "first"), 0.03, 7.5)],
            ("stem",),
        ),
        ("none where 8 bits are fastest", [((), 0.05, 7.0), (("stem",), 0.04, 8.0)], ()),
        ("not one that is worse", [((), 0.05, 8.0), (("stem",), 0.06, 7.0)], ()),
        ("worse within what is good enough", [((), 0.01, 8.0), (("stem",), 0.015, 7.0)], ("stem",)),
    ],
)
def test_the_fastest_prefix_in_float_is_chosen(
    case: str, begins: list[tuple[tuple[str, ...], float, float]], expected: tuple[str, ...]
) -> None:
    chosen = fastest_prefix([FloatPrefix(*each) for each in begins], begins[0][1])
    assert chosen.first == expected, case
