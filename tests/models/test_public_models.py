"""The errors of the models package come without its heavy parts."""

from __future__ import annotations

import subprocess
import sys


def test_errors_come_without_the_rest() -> None:
    code = "import sys, edgeloop.models.errors\n"
    code += "sys.exit(bool({'cv2', 'numpy', 'pydantic'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
