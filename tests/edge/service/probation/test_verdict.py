from __future__ import annotations

from dataclasses import replace

import pytest

from edgeloop.edge.service.probation.verdict import Evidence, judge
from edgeloop.edge.service.service_config import ProbationConfig

CONFIG = ProbationConfig()
GOOD = Evidence(
    provider="cpu",
    reference_provider="cpu",
    answered=1000,
    latency_ms=20.0,
    compared_ms=20.0,
    reference_ms=20.0,
    compared=100,
    boxes=300,
    reference_boxes=300,
)


def test_a_good_model_stays() -> None:
    assert judge(GOOD, CONFIG) is None
    assert judge(Evidence(), CONFIG) is None


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"restarts": 1, "reason": "no answer within 10 s"}, "its process was lost: no answer within 10 s"),
        ({"status": "degraded", "reason": "died"}, "its process was lost: died"),
        ({"provider": "cpu", "reference_provider": "cuda"}, "runs on the cpu, the previous model on cuda"),
        (
            {"provider": "openvino", "reference_provider": "openvino-gpu"},
            "runs on the openvino, the previous model on openvino-gpu",
        ),
        ({"failures": {"hang": 1, "absurd": 59}}, "gave no answer to 60 of 1060 frames: 1 hang, 59 absurd"),
        ({"answered": 0, "failures": {"absurd": 5}}, "gave no answer to 5 of 5 frames"),
        ({"compared_ms": 30.1}, "median latency 30.1 ms, expected at most 30.0 ms"),
        (
            {"boxes": 59},
            "found 59 objects in 100 frames, the previous model 300; expected at least 0.2 times",
        ),
        ({"boxes": 0, "reference_boxes": 20}, "found 0 objects"),
    ],
)
def test_a_bad_model_is_given_up(bad: dict[str, object], reason: str) -> None:
    assert (judge(replace(GOOD, **bad), CONFIG) or "").startswith(reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fair",
    [
        {"provider": "cpu", "reference_provider": "openvino"},  # the same processor
        {"boxes": 0, "reference_boxes": 0},  # nothing is there to be found
        {"boxes": 0, "reference_boxes": 19},  # too little to tell
        {"boxes": 0, "reference_boxes": 300, "compared": 9},
        {"boxes": 60},
        {"boxes": 3000},
        {"failures": {"absurd": 4}, "answered": 4},
        {"failures": {"absurd": 52}},
        {"compared_ms": 30.0},
        {"compared_ms": 6.0, "reference_ms": 1.0},  # 5 ms more than a model of 1 ms
        {"latency_ms": 90.0},  # the whole machine is slower
        {"provider": "cuda", "reference_provider": "cpu"},
        {"provider": "cpu", "reference_provider": ""},
        {"status": "degraded", "answered": 0},  # of the model before it
    ],
)
def test_what_proves_nothing(fair: dict[str, object]) -> None:
    assert judge(replace(GOOD, **fair), CONFIG) is None  # type: ignore[arg-type]


def test_a_stated_limit_of_the_latency() -> None:
    config = ProbationConfig(latency_ms=25.0)
    assert judge(replace(GOOD, compared_ms=90.0), config) is None
    assert judge(replace(GOOD, latency_ms=25.1), config) == "median latency 25.1 ms, expected at most 25.0 ms"


def test_a_rate_of_zero_asks_for_nothing() -> None:
    assert judge(replace(GOOD, boxes=0), ProbationConfig(min_rate=0.0)) is None
