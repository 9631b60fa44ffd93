"""Nothing about the user's footage leaves the machine, and nothing is written where the user did not say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeloop.edge.cli.app import main

# Any attempt to reach out ends the process there and then, also one whose error would have been swallowed.
GUARDED = """
import os, socket, sys
def refuse(*args, **kwargs):
    sys.stderr.write(f"reached out: {args}\\n"); sys.stderr.flush(); os._exit(99)
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
from edgeloop.edge.cli.app import main
main()
"""


def run_verb(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("YOLO_", "EDGELOOP_"))}
    return subprocess.run(
        [sys.executable, "-c", GUARDED, *map(str, words)],
        env=kept | {"HOME": str(home), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_train_and_export_stay_at_home(run: Path, dataset: Path, tmp_path: Path) -> None:
    """The training is short, so the export is that of another run."""
    home, short, bundle = tmp_path / "home", tmp_path / "run", tmp_path / "x.onnx"
    trained = run_verb(home, "train", dataset, "-o", short, "--epochs", 1, "--imgsz", 64, "--batch", 8)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.startswith(f"{short}: mAP50 ")
    exported = run_verb(home, "export", run, "-d", dataset, "-o", bundle)
    assert exported.returncode == 0, exported.stderr
    assert "of torch's" in exported.stdout
    assert "ultralytics" not in (trained.stderr + exported.stderr).lower()
    assert not list(home.iterdir())
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"home", "run", "x.json", "x.md", "x.onnx", "x.worst.jpg"}


@pytest.mark.slow
def test_ultralytics_stays_at_home(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    home, run = tmp_path / "home", tmp_path / "run"
    small = ("--trainer", "ultralytics", "--epochs", 1, "--imgsz", 64, "--batch", 8)
    trained = run_verb(home, "train", dataset, "-o", run, *small)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.startswith(f"{run}: mAP50 ")
    assert "ultralytics" not in trained.stderr.lower()
    assert not list(home.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"home", "run"}


@pytest.mark.slow
def test_importing_changes_nothing_in_the_process() -> None:
    code = (
        "import os, sys\nbefore = dict(os.environ)\nimport edgeloop.export.commands\n"
        "from edgeloop import export_bundle, train_detector\n"
        "assert os.environ == before\n"
        "import edgeloop.export.export_run, edgeloop.export.train.train_run\n"
        "assert 'ultralytics' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb", [("train", "gone", "-o", "run"), ("export", "gone", "-d", ".", "-o", "x.onnx")]
)
def test_errors_are_one_line(
    verb: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["edgeloop", *verb])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 66
    errors = capsys.readouterr().err
    assert errors.startswith("edgeloop: error: gone")
    assert errors.count("\n") == 1
