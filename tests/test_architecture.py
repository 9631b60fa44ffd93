"""The walls of the house: who may import whom, and what the runtime never pays for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "torchvision", "ultralytics", "segment_anything", "onnx", "sklearn", "pycocotools"}


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
    "verb", ["demo", "collect", "label", "train", "export", "run", "bench", "inspect", "doctor"]
)
def test_help_of_a_verb_leaves_heavy_packages_out(verb: str) -> None:
    code = (
        "import sys\nfrom edge.cli import main\n"
        f"sys.argv = ['edgeloop', '{verb}', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"found = {HEAVY!r} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"edgeloop {verb}" in result.stdout
