from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.service.probation.comparison import CameraFilter, Comparison, count_matches
from edgeloop.edge.service.service_config import CameraConfig
from edgeloop.edge.service.store.shadow_figures import ShadowFigures
from edgeloop.models.detections import Detections

NAMES = ["nut", "bolt"]


def detections(*rows: tuple[float, float, float, float, int], confidence: float = 0.9) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(table[:, :4], np.full(len(table), confidence, np.float32), table[:, 4].astype(np.int64))


def test_a_box_has_one_partner_of_its_class() -> None:
    first = detections((0, 0, 10, 10, 0), (20, 0, 30, 10, 1))
    assert count_matches(first, NAMES, first, NAMES) == 2
    twice = detections((0, 0, 10, 10, 0), (0, 0, 10, 9, 0))
    assert count_matches(first, NAMES, twice, NAMES) == 1
    assert count_matches(first, NAMES, detections((0, 0, 10, 10, 1)), NAMES) == 0
    assert count_matches(first, NAMES, detections((0, 0, 10, 4.9, 0)), NAMES) == 0
    assert count_matches(first, NAMES, detections(), NAMES) == 0


def test_classes_are_compared_by_name() -> None:
    first, second = detections((0, 0, 10, 10, 0)), detections((0, 0, 10, 10, 1))
    assert count_matches(first, NAMES, second, ["bolt", "nut"]) == 1
    assert count_matches(first, NAMES, second, ["nut", "gear"]) == 0


boxes = st.lists(
    st.tuples(*(st.integers(0, 20) for _ in range(4)), st.integers(0, 1)).map(
        lambda box: (box[0], box[1], box[0] + box[2] + 1, box[1] + box[3] + 1, box[4])
    ),
    max_size=6,
)


@settings(max_examples=50, deadline=None)
@given(boxes, boxes)
def test_matches_are_bounded(
    first: list[tuple[int, int, int, int, int]], second: list[tuple[int, int, int, int, int]]
) -> None:
    a, b = detections(*first), detections(*second)
    matched = count_matches(a, NAMES, b, NAMES)
    assert matched <= min(len(a), len(b))
    assert count_matches(a, NAMES, a, NAMES) == len(a)


def test_figures_add_up_and_go_on() -> None:
    begun = Comparison(ShadowFigures(current="a", candidate="b"))
    nut = detections((0, 0, 10, 10, 0))
    begun.add(nut, NAMES, nut, NAMES, (10.0, 12.0))
    begun.add(nut, NAMES, detections((0, 0, 10, 10, 1)), NAMES, (10.0, 14.0))
    begun.add_failure()
    figures = begun.figures()
    assert (figures.frames, figures.failed, figures.matched, figures.agreement) == (2, 1, 1, 0.5)
    assert (figures.current_ms, figures.candidate_ms) == (10.0, 13.0)
    assert figures.classes == {"nut": (2, 1), "bolt": (0, 1)}
    assert begun.recent() == (2, 2, 2)
    resumed = Comparison(ShadowFigures.model_validate_json(figures.model_dump_json()))
    assert resumed.figures() == figures
    resumed.add(nut, NAMES, nut, NAMES, (20.0, 20.0))
    assert resumed.figures().frames == 3
    assert resumed.figures().classes["nut"] == (3, 2)
    assert resumed.recent() == (1, 1, 1)


def test_a_camera_filters_both_models_alike(tmp_path: Path) -> None:
    zone = {"name": "left", "polygon": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]], "classes": ["bolt"]}
    (tmp_path / "ignore.json").write_text(json.dumps({"zones": [zone], "units": "shares"}))
    config = CameraConfig(source="0", ignore=tmp_path / "ignore.json", classes=("bolt",), confidence=0.5)
    keep = CameraFilter(config, ["bolt", "nut"])
    found = detections((10, 10, 20, 20, 0), (80, 10, 90, 20, 0), (80, 10, 90, 20, 1))
    assert keep(found, (100, 100)).xyxy.tolist() == [[80, 10, 90, 20]]
    assert not len(keep(detections((80, 10, 90, 20, 0), confidence=0.4), (100, 100)))
