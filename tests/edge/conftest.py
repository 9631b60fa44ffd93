"""What the tests of the session and the detector share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.meter import ModelWriter, write_meter


@pytest.fixture
def write_model(tmp_path: Path) -> ModelWriter:
    """Writes `tests.meter`'s detector into the test's own folder."""

    def write(*args: Any, name: str = "model.onnx", **kwargs: Any) -> Path:
        return write_meter(tmp_path / name, *args, **kwargs)

    return write
