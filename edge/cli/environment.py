"""Environment variables that the command line sets for its own process, before libraries read them."""

from __future__ import annotations

import os

__all__ = ["prepare_environment"]

_DEFAULTS = {
    # onnxruntime reports on its use from its import on, unless it is told not to before that.
    "ORT_DISABLE_TELEMETRY": "1",
    # pydantic otherwise asks every installed package whether it is a plug-in, for some 20 ms.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
    # Every failure is reported by us, in one line; OpenCV, its FFmpeg (-8: AV_LOG_QUIET) and its Qt would
    # only repeat it in words that no user can act upon.
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "QT_LOGGING_RULES": "*.warning=false",
    # Torch's threads wait for each other asleep instead of spinning: up to ten times as fast if something
    # else keeps the cores busy.
    "OMP_WAIT_POLICY": "PASSIVE",
}

_OF_VERB = {
    # The loop multiplies no matrices, and the threads of numpy's BLAS spin at first, on cores that the start
    # needs.
    "run": {"OPENBLAS_NUM_THREADS": "1"},
}


def prepare_environment(verb: str = "") -> None:
    """Set the variables that are not set yet.

    Args:
        verb: The command that is about to run; "" for those of all commands.
    """
    for name, value in (_OF_VERB.get(verb, {}) if verb else _DEFAULTS).items():
        os.environ.setdefault(name, value)
