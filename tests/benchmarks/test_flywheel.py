"""Tables of the flywheel benchmark, and how the device would choose frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flywheel import gain_table, read_cases, recall_table
from flywheel_teach import teach_table


def figures(random: float, mining: float, *, truth: float = 0.8) -> dict[str, dict[str, Any]]:
    added = {"doubt-10": 0.55, "mining-10": mining, "turn-10": 0.58, "random-10": random}
    scores = {"base": 0.4, **added, "all": 0.8}
    recall = {"value": 0.75, "low": 0.7, "high": 0.85, "truth": truth, "with_new_classes": 0.6}
    return {**{name: {"map50": score} for name, score in scores.items()}, "recall": recall}


def write_case(folder: Path, case: dict[str, dict[str, Any]]) -> None:
    folder.mkdir(parents=True)
    for name, own in case.items():
        (folder / f"{name}.json").write_text(json.dumps(own))


def test_a_case_counts_when_all_of_it_is_there(tmp_path: Path) -> None:
    write_case(tmp_path / "cases" / "street-0", figures(0.5, 0.6))
    write_case(tmp_path / "cases" / "street-1", {"base": {"map50": 0.4}})
    write_case(tmp_path / "cases" / "conveyor-2", figures(0.5, 0.6))
    assert {scene: list(own) for scene, own in read_cases(tmp_path, [10]).items()} == {
        "conveyor": [2],
        "street": [0],
    }


def test_gains_are_compared_seed_by_seed() -> None:
    cases = {"street": {0: figures(0.5, 0.6), 1: figures(0.7, 0.71), 2: figures(0.6, 0.65)}}
    table = gain_table(cases, 10)
    rows = {row[1]: row for row in table.groups[0]}
    assert rows["by mining"][2:] == ("0.600", "0.710", "0.650", "0.650", "+0.250", "+0.050")
    assert rows["all of them"][-1] == "+0.200"
    assert rows["at random"][-1] == rows["none added"][-1] == ""
    assert [row[1] for row in table.groups[-1]] == [
        "by doubt",
        "by mining",
        "by mining and doubt in turn",
        "at random",
        "all of them",
    ]


def test_a_true_recall_outside_the_interval_is_counted() -> None:
    cases = {"street": {0: figures(0.5, 0.6), 1: figures(0.5, 0.6, truth=0.9)}}
    unknown = figures(0.5, 0.6)
    unknown["recall"].update(value=None, low=None, high=None)
    table = recall_table({**cases, "conveyor": {0: unknown}})
    assert [row[5] for group in table.groups for row in group] == ["yes", "no", "no", "1 of 3"]


def test_the_first_answer_and_the_student_are_timed() -> None:
    def moment(time_s: float, answers: str | None, frames: int, fps: float) -> dict[str, Any]:
        return {"time_s": time_s, "answers": answers, "frames": frames, "fps": fps}

    moments = [
        moment(1.0, None, 0, 0.0), moment(30.0, "teacher, round 1", 3, 3.0), moment(31.0, "teacher", 8, 5.0),
        moment(200.0, "student, generation 1", 90, 60.0),
    ]  # fmt: skip
    cells = {row[0]: row[-1] for row in teach_table(moments, (0.9, 0.96)).groups[0]}
    assert (cells["first answer, s"], cells["the student answers, s"]) == ("30.0", "200.0")
    assert (cells["frames/s of the teacher"], cells["ratio"]) == ("4.0", "0.938")
    assert [row[-1] for row in teach_table(moments[:2], (None, 0.96)).groups[0]].count("never") == 4
