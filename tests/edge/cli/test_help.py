"""Every `--help`: snapshots in `help/`, renewed by EDGELOOP_UPDATE_SNAPSHOTS=1, and what it leaves out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeloop.edge.cli.app import SUMMARIES

SNAPSHOTS = Path(__file__).parent / "help"
TAKE_AV = ("serve", "check")  # last: what is loaded stays loaded
HEAVY = {
    *("torch", "torchvision", "ultralytics", "segment_anything", "onnx", "sklearn", "pycocotools"),
    *("trackers", "av", "efficientnet_lite_pytorch"),
}

# One process for all, but none of other tests: click remembers the help option of a command that was called
# without its group.
SHOW_ALL = f"""
import sys
from edgeloop.edge.cli.app import main
for verb in sys.argv[1:]:
    sys.argv = ["edgeloop", *([verb] if verb != "edgeloop" else []), "--help"]
    try:
        main()
    except SystemExit as end:
        print("\\f", end.code, *sorted({HEAVY!r} & sys.modules.keys()), "\\f", end="")
"""


@pytest.fixture(scope="module")
def shown() -> dict[str, tuple[str, list[str]]]:
    """Help of each verb; its exit code, and the heavy packages that are loaded by then."""
    verbs = sorted(["edgeloop", *SUMMARIES], key=lambda verb: verb in TAKE_AV)
    done = subprocess.run(
        [sys.executable, "-P", "-c", SHOW_ALL, *verbs],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "100"},
    )
    assert done.returncode == 0, done.stderr
    *said, end = done.stdout.split("\f")
    assert not end
    return {verb: (said[2 * row], said[2 * row + 1].split()) for row, verb in enumerate(verbs)}


@pytest.mark.parametrize("verb", ["edgeloop", *SUMMARIES])
def test_help_is_as_written_and_leaves_heavy_packages_out(
    shown: dict[str, tuple[str, list[str]]], verb: str
) -> None:
    text, (code, *heavy) = shown[verb]
    assert code == "0"
    assert heavy == (["av"] if verb in TAKE_AV else [])
    snapshot = SNAPSHOTS / f"{verb}.txt"
    if os.environ.get("EDGELOOP_UPDATE_SNAPSHOTS"):
        snapshot.write_text(text)
    assert text == snapshot.read_text()
