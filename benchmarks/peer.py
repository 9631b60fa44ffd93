"""`edgeloop run` against `yolo predict`: the same model and footage, in processes that take turns.

Ultralytics is run by its command and never imported: it is AGPL-3.0.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edgeloop.edge.bench.benchmark import time_run
from edgeloop.edge.bench.time_command import ProcessTiming, time_command

TURNS = 3
_FRAME = re.compile(r"^(video|image) \d+/\d+ .*ms$")
_DEVICES = {"cpu": "cpu", "cuda": "0"}


@dataclass(frozen=True)
class Comparison:
    """Medians over the turns."""

    ours: ProcessTiming
    theirs: ProcessTiming


def compare(model: Path, footage: Path, *, frames: int, provider: str, confidence: float) -> Comparison:
    """Time both commands on a video, with a model that carries Ultralytics' metadata."""
    yolo = _find_yolo()
    ours: list[ProcessTiming] = []
    theirs: list[ProcessTiming] = []
    for _ in range(TURNS):
        ours.append(time_run(model, str(footage), frames))
        theirs.append(_time_yolo(yolo, model, footage, frames, provider, confidence))
    return Comparison(_medians(ours), _medians(theirs))


def _find_yolo() -> str:
    beside = Path(sys.executable).with_name("yolo")
    found = str(beside) if beside.exists() else shutil.which("yolo")
    if found is None:
        raise SystemExit("--against needs Ultralytics' command `yolo`; pip install ultralytics")
    return found


def _time_yolo(
    yolo: str, model: Path, footage: Path, frames: int, provider: str, confidence: float
) -> ProcessTiming:
    arguments = [
        f"model={model.resolve()}",
        f"source={footage.resolve()}",
        f"conf={confidence}",
        "save=False",
        *([f"device={_DEVICES[provider]}"] if provider in _DEVICES else []),
    ]
    with TemporaryDirectory(prefix="edgeloop-peer-") as folder:
        return time_command(
            "yolo predict",
            [yolo, "predict", *arguments],
            frame=_FRAME,
            frames=frames,
            folder=Path(folder),
            environment=_offline(folder),
        )


def _offline(folder: str) -> dict[str, str]:
    """Build an environment in which Ultralytics sends, fetches and installs nothing."""
    return {
        **os.environ,
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "true",
        "YOLO_CONFIG_DIR": folder,
        "PYTHONUNBUFFERED": "1",
    }


def _medians(runs: Sequence[ProcessTiming]) -> ProcessTiming:
    return ProcessTiming(*(statistics.median(values) for values in zip(*map(astuple, runs), strict=True)))
