"""Every benchmark script starts: it imports what exists, and says how it is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if "__main__" in path.read_text())

# One process for all, in which torch loads once.
CALL_ALL = """
import runpy, sys, traceback
for script in sys.argv[1:]:
    before, sys.argv = sys.argv, [script, "--help"]
    print("\\f" + script)
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        print("ended with", end.code or 0)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    sys.argv = before
"""


@pytest.mark.slow
def test_each_script_says_how_it_is_called() -> None:
    path = os.pathsep.join([str(FOLDER), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", CALL_ALL, *map(str, SCRIPTS)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    told = dict(zip(map(str, SCRIPTS), done.stdout.split("\f")[1:], strict=True))
    for script in SCRIPTS:
        said = told[str(script)]
        assert said.rstrip().endswith("ended with 0"), said + done.stderr
        assert f"usage: {script.name}" in said, said
