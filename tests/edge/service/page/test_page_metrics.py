"""Metrics: what a scrape gives, and that the docs, the dashboard and the alerts name nothing else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from edgeloop.edge.frame import Frame
from edgeloop.edge.loop.meter import Meter
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.service.board import Board, CameraState
from edgeloop.edge.service.page.health import Health
from edgeloop.edge.service.page.metrics import Metrics
from edgeloop.edge.sources.iterable import ImageIterable
from edgeloop.models.detections import Detections
from tests.edge.service.page.page_service import Running, config_of
from tests.waiting import until

ROOT = Path(__file__).parents[4]
RECIPES = ROOT / "recipes" / "service"
FORMATS = ROOT / "docs" / "reference" / "formats.md"
_NAME = re.compile(r"\b(?:edgeloop|process|python)_[a-z0-9_]+\b")
_SELECTOR = re.compile(r"\b([a-z_]+)\{([^}]*)\}")
_LABEL = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)")
_BY = re.compile(r"\b(?:by|without) \(([^)]*)\)")
TARGET_LABELS = {"instance", "job"}  # those that Prometheus adds


def scrape(service: Running) -> dict[str, Metric]:
    status, headers, said = service.ask("GET", "metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {family.name: family for family in text_string_to_metric_families(said.decode())}


@pytest.fixture(scope="module")
def families(service: Running) -> dict[str, Metric]:
    """Scrape of a service in which everything has happened once."""
    until(lambda: service.board.cameras["belt"].events)
    until(lambda: service.board.parts.get("ring", {}).get("entries"))
    service.board.models["block"].count_error("hang")
    service.board.models["block"].provider_share = 1.0
    service.board.cameras["belt"].drift = "moved"
    return scrape(service)


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    return next(
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_every_frame_is_counted_by_its_fate(service: Running) -> None:
    found = scrape(service)
    for camera in ("belt", "door"):
        arrived = value(found, "edgeloop_camera_frames_arrived_total", camera=camera)
        fates = sum(
            sample.value
            for sample in found["edgeloop_camera_frames"].samples
            if sample.labels["camera"] == camera
        )
        assert 0 <= arrived - fates <= 3  # those in hand, and one that arrived while they were read
        assert value(found, "edgeloop_camera_status", camera=camera, status="open") == 1
        assert 0 <= value(found, "edgeloop_camera_frame_age_seconds", camera=camera) < 5


def test_the_memory_of_the_model_is_counted(families: dict[str, Metric]) -> None:
    assert value(families, "edgeloop_children_resident_memory_bytes") > 1e7
    assert value(families, "process_resident_memory_bytes") > 1e7


def test_the_histogram_holds_every_frame_and_its_stages_add_up(service: Running) -> None:
    found, frames = scrape(service), service.board.cameras["belt"].stream.meter.frames
    total = value(found, "edgeloop_frame_seconds_count", camera="belt", stage="total")
    assert frames - 3 <= total <= frames
    stages = ("wait", "preprocess", "infer", "postprocess", "track", "act")
    sums = [value(found, "edgeloop_frame_seconds_sum", camera="belt", stage=stage) for stage in stages]
    assert sum(sums) == pytest.approx(
        value(found, "edgeloop_frame_seconds_sum", camera="belt", stage="total")
    )


def test_counters_never_fall(service: Running) -> None:
    until(lambda: service.board.cameras["belt"].events)
    before = scrape(service)
    frames = service.board.cameras["belt"].stream.meter.frames
    until(lambda: service.board.cameras["belt"].stream.meter.frames > frames)
    after = scrape(service)
    for name, family in before.items():
        if family.type == "counter":
            now = {tuple(sorted(each.labels.items())): each.value for each in after[name].samples}
            assert all(now[tuple(sorted(each.labels.items()))] >= each.value for each in family.samples)
    assert value(after, "edgeloop_events_total", camera="belt", kind="enter") >= 1
    assert value(after, "edgeloop_detections_total", camera="belt", **{"class": "block"}) > 0


def test_names_follow_the_conventions_of_prometheus(families: dict[str, Metric]) -> None:
    for name, family in families.items():
        assert re.fullmatch(r"(edgeloop|process|python)(_[a-z0-9]+)*", name)
        assert family.documentation
        assert not name.endswith(("_ms", "_milliseconds", "_mb", "_percent", "_count"))
        labels = {label for sample in family.samples for label in sample.labels}
        assert not labels & TARGET_LABELS


def test_the_figures_of_a_part_are_metrics(service: Running) -> None:
    service.board.set_figures("new part", queue_depth=3, sent=7)
    service.board.models["block"].figures = {"rollbacks": 2, "shadow_agreement": 0.5}
    found = scrape(service)
    assert value(found, "edgeloop_new_part_queue_depth") == 3
    assert value(found, "edgeloop_new_part_sent_total") == 7
    assert value(found, "edgeloop_model_rollbacks_total", model="block") == 2
    assert value(found, "edgeloop_model_shadow_agreement", model="block") == 0.5
    service.board.models["block"].figures = {}
    del service.board.parts["new part"]


def sample_labels(families: dict[str, Metric]) -> dict[str, set[str]]:
    """Labels of each name that an expression may hold."""
    return {
        sample.name: {label for other in family.samples for label in other.labels}
        for family in families.values()
        for sample in family.samples
    }


def expressions() -> Iterator[str]:
    rules = yaml.safe_load((RECIPES / "alert-rules.yml").read_text("utf-8"))
    assert list(rules) == ["groups"]
    for group in rules["groups"]:
        assert set(group) == {"name", "rules"}
        for rule in group["rules"]:
            assert (
                {"alert", "expr", "labels", "annotations"}
                <= set(rule)
                <= {*("alert", "expr", "for", "labels", "annotations")}
            )
            assert re.fullmatch(r"Edgeloop[A-Z][A-Za-z]+", rule["alert"])
            assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            assert set(rule["annotations"]) == {"summary", "description"}
            yield rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def dashboard() -> dict[str, Any]:
    return json.loads((RECIPES / "grafana-dashboard.json").read_text("utf-8"))


def test_the_dashboard_and_the_alerts_name_what_a_scrape_gives(families: dict[str, Metric]) -> None:
    labels = sample_labels(families)
    found = list(expressions())
    assert len(found) > 30
    for expression in found:
        assert expression.count("(") == expression.count(")")
        names = set(_NAME.findall(expression))
        assert names <= set(labels), expression
        own = {label for name in names for label in labels[name]} | TARGET_LABELS
        for _, selector in _SELECTOR.findall(expression):
            assert set(_LABEL.findall(selector)) <= own, expression
        for grouping in _BY.findall(expression):
            assert {each.strip() for each in grouping.split(",")} <= own, expression


def test_selected_values_are_those_that_occur(families: dict[str, Metric]) -> None:
    known = {
        (label, sample.labels[label])
        for family in families.values()
        for sample in family.samples
        for label in ("status", "fate", "stage")
        if label in sample.labels
    }
    for expression in expressions():
        for label, values in re.findall(r'\b(status|fate|stage)(?:=~|!=|=)"([^"]*)"', expression):
            assert {(label, each) for each in values.split("|")} <= known


def test_the_dashboard_fits_grafana() -> None:
    shown = dashboard()
    panels = shown["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [variable["name"] for variable in shown["templating"]["list"]] == ["source", "instance", "camera"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    for panel in panels:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        assert panel["title"]
        assert panel["type"] == "row" or panel["targets"]


def test_the_docs_list_every_metric_with_its_type_and_labels(families: dict[str, Metric]) -> None:
    section = FORMATS.read_text("utf-8").partition("\n## Metrics of the service\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(edgeloop_\w+)` \| (\w+) \|([^|]*)\|", section, re.MULTILINE)
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    found = {
        name + {"counter": "_total", "info": "_info"}.get(family.type, ""): (
            {"info": "gauge"}.get(family.type, family.type),
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for name, family in families.items()
        if name.startswith("edgeloop")
    }
    assert told == found


def test_a_frame_is_timed_in_less_than_a_tenth_of_a_millisecond(block_model: Path, tmp_path: Path) -> None:
    board = Board("device")
    stream = Stream(ImageIterable([]), Meter(["block"]))
    Metrics(board, Health(config_of(block_model, tmp_path, "belt"), board)).watch(
        CameraState("belt", "block", stream)
    )
    stages = dict.fromkeys(("wait", "preprocess", "infer", "postprocess", "track"), 3.0)
    result = Result(
        Frame(np.zeros((4, 4, 3), np.uint8), 0, time.monotonic(), 0.0, "belt"),
        Detections.empty(),
        Timings(15.0, stages),
    )
    spent_s = []
    for _ in range(2000):
        began_at = time.perf_counter()
        stream.write(result)
        spent_s.append(time.perf_counter() - began_at)
    assert np.median(spent_s) < 1e-4
    print(f"{1e6 * np.median(spent_s):.1f} us a frame")  # shown by -rP
