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
    "ExportOptions",
    "Frame",
    "LabelPlan",
    "LivePolicy",
    "LiveSource",
    "Masks",
    "ModelError",
    "NoInputError",
    "Result",
    "RunSummary",
    "Sink",
    "Source",
    "Tracker",
    "TrainOptions",
    "UnavailableError",
    "UsageError",
    "ZoneCounter",
    "annotate",
    "export_bundle",
    "label_frames",
    "open_source",
    "open_tracker",
    "read_zones",
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


IMPORT_EVERYTHING = """
import importlib, logging, os, pkgutil, signal, sys
import cv2

def state():
    root = logging.getLogger()
    return {
        "environment": dict(os.environ),
        "signals": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        "logging": (root.level, list(root.handlers)),
        "opencv": (cv2.utils.logging.getLogLevel(), cv2.getNumThreads()),
    }

from edgeloop.edge.engines.open_engine import ENGINES, installed_engines
left_out = {
    "edgeloop.edge.engines." + kind.opener.partition(":")[0]
    for name, kind in ENGINES.items()
    if not installed_engines()[name]  # an engine's module imports its package
}
before = state()
for package in map(importlib.import_module, sys.argv[1:]):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name in left_out:
            continue
        importlib.import_module(module.name)
        after = state()
        changed = [what for what in before if after[what] != before[what]]
        assert not changed, f"importing {module.name} changes {changed}"
"""


def test_importing_any_module_changes_nothing_in_the_process() -> None:
    command = [sys.executable, "-P", "-c", IMPORT_EVERYTHING, "edgeloop.models", "edgeloop.edge"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
