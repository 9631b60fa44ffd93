"""Train tab: curves of a run, the report of an export, a refused export; and who works on it."""

from __future__ import annotations

import fcntl
import json
import os
from typing import Any, get_args, get_type_hints

from playwright.sync_api import Page, expect

from edgeloop.export.targets import TARGETS
from edgeloop.export.train.run_record import RunRecord, write_record
from edgeloop.export.trainer import Epoch
from edgeloop.labeling.studio.jobs.verb_options import ExportSettings
from tests.labeling.studio.serving import Serving

EPOCHS = tuple(
    Epoch(
        number=number,
        seconds=2.0 * number,
        loss={"box": 2 / number, "score": 1 / number},
        map50=0.2 * number if number % 2 == 0 else None,
        map50_95=0.1 * number if number % 2 == 0 else None,
    )
    for number in range(1, 5)
)
RECORD = RunRecord(
    trainer="edgeloop", model="edgeloop-lite0", weights="none", names=("bolt",), dataset="dataset",
    dataset_sha256="0" * 64, imgsz=320, batch=8, freeze=0, seed=0, images=40, seconds=9.0,
    images_per_second=30.0, epochs=EPOCHS, map50=0.8, map50_95=0.4, versions={},
)  # fmt: skip


def report(*, refused: list[str]) -> dict[str, Any]:
    parity = {"matched": 0.97, "repeated": 97, "boxes": 100, "frames": 12, "confidence_drift": 0.01}
    scores = {
        "map50": 0.8,
        "map50_95": 0.4,
        "per_class": {"bolt": {"map50": 0.8, "map50_95": 0.4, "truths": 100}},
    }
    own = {"precision": "int8", "bytes": 3e6, "latency_ms": 4.0, "parity": parity, **scores}
    return {
        **own,
        "bundle": "detector.onnx",
        "refused": refused,
        "input_size": [320, 320],
        "parity_per_class": {"bolt": parity},
        "torch": scores,
        "precisions": [{**own, "refused": refused}],
    }


def test_curves_and_a_refused_export_are_shown(studio: Serving, page: Page) -> None:
    project = studio.project
    project.run.mkdir()
    write_record(RECORD, project.run)
    reason = "int8 misses 12 of 100 boxes; at most 1 may be missed"
    (project.work / "detector.refused.json").write_text(json.dumps(report(refused=[reason])))
    page.goto(f"{studio.url}#train")
    expect(page.get_by_role("img", name="Loss over time: box 2 to 0.5")).to_be_visible()
    expect(page.get_by_role("img", name="Validation over time: mAP50 0.4 to 0.8")).to_be_visible()
    page.get_by_text("As a table").click()
    expect(page.get_by_role("row", name="4 8 0.500 0.250 0.800 0.400")).to_be_visible()
    expect(page.get_by_text("Refused: detector.onnx was not written")).to_be_visible()
    expect(page.get_by_text(reason)).to_be_visible()
    page.get_by_label("Minutes at most").fill("2")
    expect(page.get_by_label("Command line").first).to_contain_text("--time-limit 120")


def test_a_training_in_a_terminal_is_noticed(studio: Serving) -> None:
    project = studio.project
    unfinished = project.work / ".run.unfinished"
    unfinished.mkdir()
    (unfinished / "epochs.json").write_text(json.dumps([epoch.model_dump() for epoch in EPOCHS[:2]]))
    locked = os.open(unfinished, os.O_RDONLY)
    try:
        fcntl.flock(locked, fcntl.LOCK_EX)
        assert studio.api("GET", "jobs/train")["elsewhere"]
        assert len(studio.api("GET", "training")["epochs"]) == 2
        status, _, said = studio.ask("POST", "api/jobs/train/start", {})
        assert status == 422
        assert b"another process" in said
    finally:
        os.close(locked)
    assert studio.api("GET", "jobs/train")["status"] == "paused"


def test_a_teaching_shows_who_answers_and_how_fast(studio: Serving, page: Page) -> None:
    loop = studio.project.loop
    loop.mkdir()
    keys = ("time_s", "answers", "frames", "fps", "kept", "map50", "events")
    rows: list[tuple[Any, ...]] = [
        (1.0, None, 0, 0.0, 0, None, ["starts"]),
        (2.0, "teacher", 8, 8.0, 3, 0.5, []),
        (3.0, "student", 60, 52.0, 9, 0.9, ["it agrees"]),
    ]
    moments = [dict(zip(keys, row, strict=True)) for row in rows]
    lines = [json.dumps(moment) for moment in (*moments[1:], *moments)]  # of two starts
    (loop / "timeline.jsonl").write_text("\n".join(lines) + '\n{"time_s": 4.0, "ans')
    page.goto(f"{studio.url}#train")
    expect(page.get_by_text("Answering: student; 52.0 frames/s; 9 frames kept")).to_be_visible()
    expect(page.get_by_role("img", name="Speed over time: frames/s 0 to 52")).to_be_visible()
    expect(page.get_by_role("img", name="Answers over time: mAP50 0.5 to 0.9")).to_be_visible()
    expect(page.get_by_text("3 s: it agrees")).to_be_visible()
    page.get_by_label("Camera or footage").fill("synth:conveyor")
    expect(page.get_by_label("Command line").last).to_contain_text("edgeloop teach synth:conveyor -e")


def test_every_runtime_to_choose_takes_the_file_that_the_page_names() -> None:
    literal, _ = get_args(get_type_hints(ExportSettings)["target"])
    assert {TARGETS[name].suffix for name in get_args(literal)} == {".onnx"}
