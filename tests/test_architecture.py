"""The walls of the house: who may import whom, and what the runtime never pays for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {
    "torch",
    "torchvision",
    "ultralytics",
    "segment_anything",
    "onnx",
    "sklearn",
    "pycocotools",
    "trackers",
}


def test_import_contracts_hold() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "verb",
    ["demo", "collect", "label", "stats", "audit", "train", "export", "run", "bench", "inspect", "doctor"],
)
def test_help_of_a_verb_leaves_heavy_packages_out(verb: str) -> None:
    code = (
        "import sys\nfrom edgeloop.edge.cli.app import main\n"
        f"sys.argv = ['edgeloop', '{verb}', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"found = {HEAVY!r} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"edgeloop {verb}" in result.stdout


WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        assert name != "onnxruntime" or os.environ.get("ORT_DISABLE_TELEMETRY") == "1"
sys.meta_path.insert(0, Watch())
"""


@pytest.mark.parametrize(
    "module", ["edgeloop.edge.runtime.session", "edgeloop.labeling.sam.nano_onnx", "edgeloop.export.exporter"]
)
def test_the_command_line_tells_onnxruntime_to_keep_quiet_before_it_loads(module: str) -> None:
    code = (
        f"{WATCH}\nfrom edgeloop.edge.cli.app import main\nsys.argv = ['edgeloop', '--version']\n"
        f"try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"import {module}\nassert 'onnxruntime' in sys.modules"
    )
    clean = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=clean
    )
    assert result.returncode == 0, result.stderr
