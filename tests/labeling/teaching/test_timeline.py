"""Course of a teaching: its lines, its picture, and the score against a scene."""

from __future__ import annotations

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.edge.frame import Frame
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.synth import open_scene
from edgeloop.labeling.teaching.course.draw_timeline import Mark, draw_timeline
from edgeloop.labeling.teaching.course.scene_score import SceneScore
from edgeloop.labeling.teaching.course.timeline import Moment, Timeline, smoothed
from edgeloop.models.detections import Detections


def test_moments_are_written_with_events_and_rates(tmp_path: Path) -> None:
    frames = iter(range(0, 1000, 20))
    timeline = Timeline(tmp_path / "timeline.jsonl", lambda: ("teacher, round 1", next(frames), 3, 0.5))
    timeline.start()
    timeline.note("first answer")
    time.sleep(1.3)
    timeline.note("student")
    timeline.close()
    lines = [json.loads(line) for line in (tmp_path / "timeline.jsonl").read_text().splitlines()]
    assert [line["events"] for line in lines] == [["first answer"], ["student"]]
    assert lines[0]["fps"] == 0
    assert lines[1]["fps"] == pytest.approx(20 / (lines[1]["time_s"] - lines[0]["time_s"]), rel=0.05)
    assert lines[1]["answers"] == "teacher, round 1"
    assert (lines[1]["kept"], lines[1]["map50"]) == (3, 0.5)


def test_rates_are_smoothed_over_seconds() -> None:
    moments = [Moment(float(k), "t", 10 * k, 10.0, 0, None) for k in range(4)]
    assert smoothed(moments, 2.0) == [(1.0, 10.0), (2.0, 10.0), (3.0, 10.0)]


def test_two_moments_at_once_have_no_rate() -> None:
    assert smoothed([Moment(1.0, "t", 10, 10.0, 0, None)] * 2, 5.0) == []


def test_the_picture_shows_both_curves(tmp_path: Path) -> None:
    moments = [Moment(float(k), "t", 5 * k, 5.0, 0, 0.9) for k in range(60)]
    draw_timeline(moments, [Mark(20.0, "student")], "a source", tmp_path / "a.png")
    with_score = cv2.imread(str(tmp_path / "a.png"))
    draw_timeline([], [], "a source", tmp_path / "b.png")
    without = cv2.imread(str(tmp_path / "b.png"))
    assert with_score is not None
    assert without is not None
    assert with_score.shape[0] > without.shape[0]
    orange = np.abs(with_score.astype(int) - (14, 127, 255)).sum(axis=2) < 30
    assert orange.any(axis=0).sum() > 800


def test_answers_are_scored_against_the_scene() -> None:
    scene = open_scene("conveyor", seed=7, size=(320, 240))
    names = tuple(reversed(scene.classes))
    score = SceneScore(scene, names, lambda index: 100 + 2 * index)
    assert score.map50() is None
    for index in range(5):
        truth = scene.truth(100 + 2 * index)
        found = Detections(truth.xyxy, np.ones(len(truth), np.float32), len(names) - 1 - truth.class_id)
        frame = Frame(np.zeros((240, 320, 3), np.uint8), index, 0.0, 0.0, "scene")
        score.write(Result(frame, found, Timings(0.0, {"infer": 0.0})))
    assert score.map50() == 1.0
