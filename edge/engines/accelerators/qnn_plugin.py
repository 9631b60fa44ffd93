"""Qualcomm's plug-in for onnxruntime, of its package onnxruntime-qnn from 2.0 on.

It is installed beside onnxruntime, and is registered only if it is asked for:
https://github.com/onnxruntime/onnxruntime-qnn/blob/main/docs/execution_providers/QNN-ExecutionProvider.md
On a processor that is not Qualcomm's own its NPU is emulated, which takes seconds for an image.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import onnxruntime as ort

from edgeloop.models.errors import UnavailableError

__all__ = ["has_plugin", "is_emulated", "open_on_plugin"]

_PACKAGE, _NAME = "onnxruntime_qnn", "QNNExecutionProvider"


def has_plugin() -> bool:
    """True if the package is installed, and this onnxruntime takes plug-ins."""
    return find_spec(_PACKAGE) is not None and hasattr(ort, "register_execution_provider_library")


def is_emulated() -> bool:
    """True if the NPU is emulated on this machine."""
    return platform.machine().lower() not in ("aarch64", "arm64")


def open_on_plugin(model: bytes, entries: Mapping[str, str]) -> ort.InferenceSession:
    """Open a session on the NPU, with options of its own: devices that are added to options stay there.

    Args:
        model: Content of the ONNX file.
        entries: Entries of the session's configuration.

    Raises:
        UnavailableError: The plug-in finds no device.
        Exception: onnxruntime's own, if the model does not run there.
    """
    _register()
    devices = [device for device in ort.get_ep_devices() if device.ep_name == _NAME]
    if not devices:
        raise UnavailableError("provider 'qnn': its plug-in finds no device here")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    options.add_provider_for_devices(devices[:1], {"backend_type": "htp"})
    with _silent_emulator():
        return ort.InferenceSession(model, options, enable_fallback=0)


@cache
def _register() -> None:
    ort.register_execution_provider_library(_NAME, import_module(_PACKAGE).get_library_path())


@contextlib.contextmanager
def _silent_emulator() -> Iterator[None]:
    """Drop the notice about a file of settings that the emulator writes to stdout, among the results."""
    if not is_emulated() or os.name != "posix":
        yield
        return
    c_library = ctypes.CDLL(None)  # it buffers what its programs print
    sys.stdout.flush()
    c_library.fflush(None)
    stdout = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        c_library.fflush(None)
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(nowhere)
