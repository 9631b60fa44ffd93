"""Another detector's own command on the same model and footage, watched from outside.

Ultralytics is run as anybody would run it, by its command, and never imported: it is AGPL-3.0 and no part of
the runtime. It says one line a frame, which is all that is needed to time it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from edgeloop.edge.bench.time_command import Fresh, watch
from edgeloop.models.errors import UnavailableError

__all__ = ["PEERS", "find_peer", "run_peer"]

PEERS = ("ultralytics",)
_FRAME = re.compile(r"^(video|image) \d+/\d+ .*ms$")
_DEVICES = {"cpu": "cpu", "cuda": "0"}


def find_peer() -> Path:
    """Find Ultralytics' command.

    Returns:
        The command `yolo` of this environment, or else of the path.

    Raises:
        UnavailableError: It is not installed.
    """
    beside = Path(sys.executable).with_name("yolo")
    found = str(beside) if beside.exists() else shutil.which("yolo")
    if found is None:
        raise UnavailableError(
            "bench: --against ultralytics needs its command `yolo`; pip install ultralytics"
        )
    return Path(found)


def run_peer(
    yolo: Path, model: Path, footage: Path, *, frames: int, provider: str, confidence: float
) -> Fresh:
    """Let `yolo predict` run a model.

    Args:
        yolo: The command.
        model: An ONNX file that carries Ultralytics' metadata.
        footage: A video or image.
        frames: Number of frames after which it is ended.
        provider: Short name of the execution provider that ours runs on.
        confidence: Threshold of detections.

    Returns:
        How it went.

    Raises:
        UnavailableError: It does not run the model, or not within ten minutes.
    """
    arguments = [
        f"model={model.resolve()}",
        f"source={footage.resolve()}",
        f"conf={confidence}",
        "save=False",
        *([f"device={_DEVICES[provider]}"] if provider in _DEVICES else []),
    ]
    with TemporaryDirectory(prefix="edgeloop-peer-") as folder:
        return watch(
            "yolo predict",
            [str(yolo), "predict", *arguments],
            frame=_FRAME,
            frames=frames,
            folder=Path(folder),
            environment=_offline(Path(folder)),
        )


def _offline(folder: Path) -> dict[str, str]:
    """An environment in which Ultralytics reports, fetches and installs nothing, with settings of its own."""
    return {
        **os.environ,
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "true",
        "YOLO_CONFIG_DIR": str(folder),
        "PYTHONUNBUFFERED": "1",
    }
