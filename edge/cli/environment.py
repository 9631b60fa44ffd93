"""Environment variables that the command line sets for its own process, before libraries read them."""

from __future__ import annotations

import os

__all__ = ["prepare_environment"]

_DEFAULTS = {
    # onnxruntime sends telemetry from its import on, unless this is set by then.
    "ORT_DISABLE_TELEMETRY": "1",
    # pydantic otherwise searches every installed package for plug-ins, for some 20 ms.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
    # We report every failure in one line; OpenCV, its FFmpeg (-8: AV_LOG_QUIET) and its Qt would only repeat
    # it in words that no user can act upon.
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "QT_LOGGING_RULES": "*.warning=false",
    # Torch's threads sleep while they wait for each other instead of spinning: up to ten times as fast if
    # other processes keep the cores busy.
    "OMP_WAIT_POLICY": "PASSIVE",
}

_OF_VERB = {
    # The loop multiplies no matrices, and the threads of numpy's BLAS spin at first, on cores that are needed
    # to start.
    "run": {"OPENBLAS_NUM_THREADS": "1"},
    "serve": {"OPENBLAS_NUM_THREADS": "1"},
}


def prepare_environment(verb: str = "") -> None:
    """Set the environment variables that are not set yet.

    Args:
        verb: Name of the command that is about to run; "" for the variables that all commands share.
    """
    for name, value in (_OF_VERB.get(verb, {}) if verb else _DEFAULTS).items():
        os.environ.setdefault(name, value)
