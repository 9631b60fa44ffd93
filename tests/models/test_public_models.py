from __future__ import annotations

import subprocess
import sys

import pytest

from edgeloop import models


def test_the_public_surface() -> None:
    assert models.__all__ == ["Detections", "Letterbox", "ModelSpec", "SpecOverrides", "decode"]
    assert all(hasattr(models, name) for name in models.__all__)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = models.nothing


def test_errors_come_without_the_rest() -> None:
    code = "import sys, edgeloop.models.errors\n"
    code += "sys.exit(bool({'cv2', 'numpy', 'pydantic'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
