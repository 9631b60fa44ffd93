from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from edgeloop.edge.scoring.coco import ClassScore, Scores
from edgeloop.export.candidates import Candidate, fastest
from edgeloop.export.check.gate import refusals
from edgeloop.export.check.measure import Measurement, Reference
from edgeloop.export.check.parity import BundlePrecision, Parity
from edgeloop.export.export_options import ExportOptions

TORCH = {"disk": 0.8, "bar": 0.6}


def scores(by_class: Mapping[str, float]) -> Scores:
    mean = sum(by_class.values()) / len(by_class)
    return Scores(mean, mean, {name: ClassScore(value, value, 10) for name, value in by_class.items()})


REFERENCE = Reference((), {}, (), scores(TORCH))


def measured(
    by_class: Mapping[str, float], disk: int = 50, bar: int = 50, precision: BundlePrecision = "int8"
) -> Measurement:
    """Measurement of a bundle that repeats so many of 50 boxes of each class."""
    return Measurement(
        precision=precision,
        parity=Parity(8, 100, disk + bar, 0.1),
        per_class={"disk": Parity(8, 50, disk, 0.1), "bar": Parity(8, 50, bar, 0.1)},
        scores=scores(by_class),
        found=(),
        bytes=1,
    )


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        pytest.param(measured(TORCH), [], id="as good as torch"),
        pytest.param(measured({"disk": 0.9, "bar": 0.7}), [], id="better than torch"),
        pytest.param(measured({"disk": 0.79, "bar": 0.6}, disk=49), [], id="within both tolerances"),
        pytest.param(
            measured(TORCH, bar=47),
            ["int8 repeats 97 of torch's 100 boxes .* of class 'bar' 47 of 50"],
            id="boxes of one class",
        ),
        pytest.param(
            measured({"disk": 0.8, "bar": 0.5}),
            ["int8 loses 0.050 of torch's mAP50-95 of 0.700 .* class 'bar' goes from 0.600 to 0.500"],
            id="precision of one class",
        ),
        pytest.param(
            measured({"disk": 0.5, "bar": 0.6}, disk=30),
            ["boxes .* class 'disk' 30 of 50", "mAP50-95 .* class 'disk' goes from 0.800"],
            id="both",
        ),
    ],
)
def test_refuses_what_drifted_and_names_the_class(measurement: Measurement, expected: list[str]) -> None:
    reasons = refusals(measurement, REFERENCE, ExportOptions())
    assert len(reasons) == len(expected)
    for reason, pattern in zip(reasons, expected, strict=True):
        assert re.search(pattern, reason)


@pytest.mark.parametrize(
    ("masks", "other_masks", "expected"),
    [
        pytest.param(TORCH, 0, [], id="as good as torch"),
        pytest.param(
            {"disk": 0.8, "bar": 0.5},
            0,
            [r"int8 loses 0.050 of torch's mask mAP50-95 of 0.700 .* class 'bar' goes from 0.600 to 0.500"],
            id="precision of the masks",
        ),
        pytest.param(
            TORCH,
            3,
            ["repeats 97 of torch's 100 boxes .*; 3 of the missing have the box but another mask$"],
            id="boxes with other masks",
        ),
    ],
)
def test_refuses_masks_that_drifted(
    masks: Mapping[str, float], other_masks: int, expected: list[str]
) -> None:
    one = measured(TORCH, bar=50 - other_masks)
    one = replace(one, mask_scores=scores(masks), parity=replace(one.parity, other_masks=other_masks))
    reasons = refusals(one, replace(REFERENCE, mask_scores=scores(TORCH)), ExportOptions())
    assert len(reasons) == len(expected)
    for reason, pattern in zip(reasons, expected, strict=True):
        assert re.search(pattern, reason)


def test_tolerances_can_be_set() -> None:
    drifted = measured({"disk": 0.8, "bar": 0.5}, bar=47)
    assert not refusals(drifted, REFERENCE, ExportOptions(tolerance_map=0.06, tolerance_boxes=0.04))
    assert refusals(measured({"disk": 0.8, "bar": 0.599}), REFERENCE, ExportOptions(tolerance_map=0))


def test_a_detector_that_finds_nothing_is_refused() -> None:
    nothing = Parity(8, 0, 0, 0.0)
    blind = Measurement("fp32", nothing, {"disk": nothing, "bar": nothing}, scores(TORCH), (), 1)
    (reason,) = refusals(blind, REFERENCE, ExportOptions())
    assert "nothing to compare; train it for longer" in reason


def test_the_fastest_of_those_that_pass_leaves() -> None:
    def candidate(precision: BundlePrecision, latency_ms: float, *reasons: str) -> Candidate:
        one = measured(TORCH, precision=precision)
        return Candidate(replace(one, latency_ms=latency_ms), reasons)

    fp32, fp16 = candidate("fp32", 8.0), candidate("fp16", 9.0)
    assert fastest([fp32, fp16, candidate("int8", 4.0)]).precision == "int8"  # type: ignore[union-attr]
    assert fastest([fp32, fp16, candidate("int8", 4.0, "lost boxes")]) is fp32
    assert fastest([candidate("fp32", 8.0, "drifted")]) is None
