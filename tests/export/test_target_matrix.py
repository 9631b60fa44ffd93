"""The matrix of targets: exported, verified, run and timed by the commands of a user."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import targets
from targets import FRAMES, HEADER, Exported

from tests.calls import run_here

PAGE = "# Targets\n\n<!-- begin matrix -->\n<!-- end matrix -->\n"


def test_a_target_is_measured_and_one_without_tools_says_so(
    run: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, out = tmp_path / "page.md", tmp_path / "out"
    page.write_text(PAGE)
    out.mkdir()
    # An export that ended before is taken as it is.
    for precision in ("fp32", "fp16"):
        (out / f"ncnn-{precision}.ncnn.ended").write_text(json.dumps([69, f"{out}/x.ncnn: needs pnnx"]))
    for precision in ("fp16", "int8"):
        (out / f"cpu-{precision}.onnx.ended").write_text(json.dumps([139, "Segmentation fault"]))
    arguments = [
        run,
        dataset,
        "--out",
        out,
        "--targets",
        "cpu",
        "tensorrt",
        "ncnn",
        "--turns",
        1,
        "--write",
        page,
    ]
    monkeypatch.setattr(sys, "argv", ["benchmarks/targets.py", *map(str, arguments)])
    here = SimpleNamespace(run=run_here, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(targets, "subprocess", here)

    targets.main()

    rows = _rows(page)
    assert [(row["target"], row["precision"], row["converted"]) for row in rows] == [
        ("cpu", "fp32", "yes"),
        ("cpu", "fp16", "failed (139)"),
        ("cpu", "int8", "failed (139)"),
        ("tensorrt", "fp32", "yes"),
        ("tensorrt", "fp16", "yes"),
        ("ncnn", "fp32", "not installed"),
        ("ncnn", "fp16", "not installed"),
    ]
    cpu, tensorrt = rows[0], rows[3]
    assert cpu["ran in"].startswith("onnxruntime ")
    assert float(cpu["ms"]) > 0
    assert 0.1 < float(cpu["onnxruntime's / its"]) < 10
    assert (cpu["lost"], cpu["attempts"], cpu["verify"]) == ("+0.0000", "1", "identical")
    assert cpu[f"run, {FRAMES} frames"].startswith("8, ")  # as many as the validation part has
    assert cpu["boxes repeated"].split(" of ")[0] == cpu["boxes repeated"].split(" of ")[1]
    # Of a runtime that is not here there is no time.
    assert tensorrt["ran in"].endswith("on cpu, not its own")
    assert (tensorrt["ms"], tensorrt["verify"]) == ("", "identical")
    assert "- ncnn fp32: x.ncnn: needs pnnx" in page.read_text()
    assert "- cpu int8: Segmentation fault" in page.read_text()


def test_a_refused_export_keeps_its_figures(tmp_path: Path) -> None:
    parity = {"frames": 12, "repeated": 363, "boxes": 371, "confidence_drift": 0.136}
    attempts = [{"attempt": "as trained"}, {"attempt": "head on the host"}]
    report = {"map50_95": 0.81, "torch": {"map50_95": 0.83}, "parity": parity, "precisions": attempts}
    report["held_out_frames"] = 48
    (tmp_path / "rknn-int8.rknn.refused.json").write_text(json.dumps(report))
    one = Exported(
        "rknn", "int8", tmp_path / "rknn-int8.rknn", 65, "not written; see rknn-int8.rknn.refused.md"
    )

    notes = list[str]()
    row = dict(zip(HEADER, targets._row(one, tmp_path, tmp_path, 1, notes), strict=True))

    assert row["converted"] == "refused"
    assert (row["mAP50-95"], row["lost"]) == ("0.810", "+0.0200")
    assert (row["boxes repeated"], row["attempts"]) == ("363 of 371", "2")
    assert row["ran in"] == row["ms"] == row["verify"] == ""
    assert notes == [
        "- rknn int8: not written; see rknn-int8.rknn.refused.md",
        "- rknn int8: checked on 12 of 48 held-out frames",
    ]


def _rows(page: Path) -> list[dict[str, str]]:
    lines = [line for line in page.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
