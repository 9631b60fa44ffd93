"""Train tab: curves of a run, the report of an export, a refused export; and who works on it."""

from __future__ import annotations

import fcntl
import json
import os
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from edgeloop.export.targets import TARGETS
from edgeloop.export.train.run_record import RunRecord, write_record
from edgeloop.export.trainer import Epoch
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


def test_a_bundle_is_named_as_its_runtime_takes_it(studio: Serving) -> None:
    for name, target in TARGETS.items():
        command = studio.api("POST", "jobs/export/command", {"target": name, "chip": "rk3566"})["command"]
        assert f"detector{target.suffix} --target {name}" in command
        assert ("--chip rk3566" in command) == (name == "rknn")
        assert "--overwrite" not in command
    (studio.project.work / "detector.ncnn.md").touch()
    assert "--overwrite" in studio.api("POST", "jobs/export/command", {"target": "ncnn"})["command"]
    assert "--overwrite" not in studio.api("POST", "jobs/export/command", {})["command"]


def test_a_bundle_of_another_engine_is_shown_and_not_tried(
    studio: Serving, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = studio.project.work
    made = {**report(refused=[]), "bundle": "detector.ncnn", "next_step": "edgeloop run detector.ncnn 0"}
    (work / "detector.ncnn.report.json").write_text(json.dumps(made))
    assert studio.api("GET", "export")["reports"] == []
    (work / "detector.ncnn").touch()
    monkeypatch.setenv(TARGETS["rknn"].python_variable, "python3")
    page.goto(f"{studio.url}#train")
    expect(page.get_by_text("detector.ncnn repeats what was trained")).to_be_visible()
    expect(page.get_by_text("On the device: edgeloop run detector.ncnn 0")).to_be_visible()
    expect(page.get_by_role("link", name="Try it")).to_have_count(0)
    page.get_by_label("Runtime").select_option("RKNN: Rockchip")
    expect(page.get_by_label("Command line").nth(1)).to_contain_text("detector.rknn --target rknn")
    shown = page.get_by_label("Runtime").locator("option").all_text_contents()
    assert len(shown) == 1 + sum(target.is_installed for target in TARGETS.values())
    assert "undefined" not in shown
    page.goto(f"{studio.url}#try")
    expect(page.get_by_text("This tab tries ONNX files, and there is detector.ncnn alone.")).to_be_visible()


def test_each_bundle_has_a_report_of_its_own(studio: Serving, page: Page) -> None:
    work = studio.project.work
    (work / "detector.onnx").touch()
    (work / "detector.json").write_text(json.dumps(report(refused=[])))
    ncnn = {**report(refused=["fp16 misses 12 of 100 boxes"]), "bundle": "detector.ncnn"}
    (work / "detector.ncnn.refused.json").write_text(json.dumps(ncnn))
    (work / "detector.ncnn.refused.worst.jpg").write_bytes(b"a picture")
    page.goto(f"{studio.url}#train")
    expect(page.get_by_text("Refused: detector.ncnn was not written")).to_be_visible()
    expect(page.get_by_text("detector.onnx repeats what was trained")).to_be_visible()
    assert studio.ask("GET", "api/export/worst?bundle=detector.ncnn")[2] == b"a picture"
    assert studio.ask("GET", "api/export/worst?bundle=detector.onnx")[0] == 404


def test_a_bundle_that_is_put_aside_leaves_those_of_other_engines(studio: Serving) -> None:
    work = studio.project.work
    for name in ("detector.onnx", "detector.ncnn", "detector.ncnn.json"):
        (work / name).touch()
    studio.api("POST", "jobs/export/start", {"settings": {"target": "ncnn"}, "anew": True})
    names = {path.name for path in work.glob("detector.*")}
    assert names >= {"detector.onnx", "detector.ncnn.1", "detector.ncnn.json.1"}


def test_no_part_of_the_tab_is_cut_off_on_a_phone(studio: Serving, page: Page) -> None:
    studio.project.run.mkdir()
    write_record(RECORD.model_copy(update={"epochs": EPOCHS[:1], "images": 1}), studio.project.run)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{studio.url}#train")
    expect(page.get_by_text("1 image, 1 epoch in 9 s")).to_be_visible()
    right = "[...document.querySelectorAll('*')].map(own => own.getBoundingClientRect().right)"
    assert page.evaluate(f"Math.max(...{right})") <= 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390
