"""`edgeloop bench`: turns of model and loop, and figures of a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from tests.calls import Outcome, edgeloop
from tests.meter import ModelWriter


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    return edgeloop("bench", *arguments, timeout_s=90)


def test_the_report_adds_up(block_model: Path, clip: Path) -> None:
    done = bench(block_model, clip, "--frames", 20, "--turns", 3, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["provider"], report["provider_share"]) == ("cpu", 1.0)
    assert report["against"] is None
    assert len(report["turns"]) == 3
    ratios = [turn["loop_fps"] / turn["model_fps"] for turn in report["turns"]]
    assert report["ratio"] == pytest.approx(sorted(ratios)[1], abs=0.001)
    assert min(ratios) <= report["ratio"] <= max(ratios)
    assert set(report["stages_ms"]) == {"wait", "preprocess", "infer", "postprocess", "act"}
    assert 0.05 < report["first_detection_s"] < 30
    assert 30 < report["peak_memory_mb"] < 400


def test_the_default_source_is_a_scene_and_the_table_is_for_people(block_model: Path) -> None:
    done = bench(block_model, "--frames", 5, "--turns", 1)
    assert done.returncode == 0, done.stderr
    assert "synth:conveyor, 1 turns of 5 frames" in done.stdout
    for topic in ("bare model", "loop", "ratio", "first detection", "peak memory"):
        assert topic in done.stdout


def test_the_new_process_is_told_what_the_model_leaves_open(
    write_model: ModelWriter, clip: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("car\ntram\n")
    model = write_model(shape=[1, "h", "w", 3], metadata={})
    stated = ("--head", "end2end", "--names", names, "--input-size", "96x64", "--color", "BGR", "--allow-cpu")
    done = bench(model, clip, "--frames", 5, "--turns", 1, "--json", *stated)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["first_detection_s"] > 0


def test_one_image_has_no_rate_and_a_first_detection(block_model: Path, image_folder: Path) -> None:
    done = bench(block_model, min(image_folder.iterdir()), "--frames", 5, "--turns", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["first_detection_s"] > 0


FAKE_YOLO = """#!{python}
import sys, time
assert sys.argv[1] == "predict" and "save=False" in sys.argv
print("Ultralytics")
for frame in range(40):
    print(f"video 1/1 (frame {{frame + 1}}/40) clip.mp4: 128x128 1 block, 1.0ms", flush=True)
    time.sleep(0.02)
"""


def test_a_peer_takes_turns_and_the_plot_shows_both(block_model: Path, clip: Path, tmp_path: Path) -> None:
    yolo, plot = tmp_path / "yolo", tmp_path / "bench.png"
    yolo.write_text(FAKE_YOLO.format(python=sys.executable))
    yolo.chmod(0o755)
    code = (
        "import sys\nfrom itertools import count\nfrom pathlib import Path\n"
        "from types import SimpleNamespace\nimport edgeloop.edge.bench.benchmark\n"
        "import edgeloop.edge.bench.time_command\nfrom edgeloop.edge.cli.app import main\n"
        f"edgeloop.edge.bench.benchmark.find_peer = lambda: Path({str(yolo)!r})\n"
        # The clock of the watched lines goes on by 50 ms with each: late ones come in bunches.
        "ticks = count()\n"
        "edgeloop.edge.bench.time_command.time = SimpleNamespace(monotonic=lambda: next(ticks) / 20)\n"
        "if __name__ == '__main__':\n    main()\n"
    )
    arguments = [
        "bench",
        block_model,
        clip,
        "--frames",
        8,
        "--turns",
        1,
        "--against",
        "ultralytics",
        "--json",
    ]
    command = [sys.executable, "-c", code, *map(str, arguments), "--plot", str(plot)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    against = json.loads(done.stdout)["against"]
    assert (against["peer"], against["turns"]) == ("ultralytics", 3)
    assert against["theirs"]["fps"] == against["ours"]["fps"] == 20
    assert 3 < against["theirs"]["peak_memory_mb"] < against["ours"]["peak_memory_mb"]
    height, width, _ = cv2.imread(str(plot)).shape
    assert width == 960
    assert height > 600


def test_a_peer_that_is_not_installed_is_one_line(
    edgeloop: Callable[..., Outcome], block_model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    done = edgeloop("bench", block_model, clip, "--against", "ultralytics")
    assert done.code == 69
    assert done.err.endswith(
        "bench: --against ultralytics needs its command `yolo`; pip install ultralytics\n"
    )


@pytest.mark.parametrize(
    ("name", "code"),
    [("taken.png", 65), ("no.svg", 2), ("nowhere/plot.png", 66)],
    ids=["taken", "svg", "nowhere"],
)
def test_a_plot_that_cannot_be_written_is_refused_before_it_is_measured(
    edgeloop: Callable[..., Outcome], block_model: Path, clip: Path, tmp_path: Path, name: str, code: int
) -> None:
    (tmp_path / "taken.png").touch()
    done = edgeloop("bench", block_model, clip, "--plot", tmp_path / name)
    assert done.code == code
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere.onnx"], 66),
        (["{model}", "nowhere.mp4"], 66),
        (["{model}", "--turns", "0"], 2),
        (["{model}", "{folder}", "--against", "ultralytics"], 2),
    ],
)
def test_bad_input(
    edgeloop: Callable[..., Outcome],
    block_model: Path,
    image_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
) -> None:
    monkeypatch.setattr("edgeloop.edge.bench.benchmark.find_peer", lambda: Path("yolo"))
    done = edgeloop("bench", *(word.format(model=block_model, folder=image_folder) for word in arguments))
    assert done.code == code
    assert "Traceback" not in done.err
