"""The public surface: `import edgeloop` offers these names, lazily, and nothing by accident."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import edgeloop

NAMES = [
    "DataError",
    "Detections",
    "Detector",
    "EdgeloopError",
    "Frame",
    "LabelPlan",
    "ModelError",
    "NoInputError",
    "Result",
    "RunSummary",
    "Sink",
    "Source",
    "Tracker",
    "UnavailableError",
    "UsageError",
    "annotate",
    "export_bundle",
    "label_frames",
    "open_source",
    "open_tracker",
    "results",
    "run",
    "train_detector",
]


def test_these_are_the_public_names() -> None:
    assert edgeloop.__all__ == NAMES
    assert set(NAMES) <= set(dir(edgeloop))


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(edgeloop, name).__doc__


def test_version_is_that_of_the_distribution() -> None:
    assert edgeloop.__version__ == version("edgeloop")


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = edgeloop.nothing


def test_importing_edgeloop_imports_nothing_else() -> None:
    code = (
        "import sys, edgeloop\n"
        "heavy = {'numpy', 'cv2', 'onnxruntime', 'torch', 'pydantic', 'click'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
