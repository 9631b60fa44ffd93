"""What this machine can do for edgeloop: everything claimed here was tried, not looked up."""

from __future__ import annotations

import base64
import os
import platform
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import psutil

from edge.opencv import has_screen

__all__ = ["Camera", "Extra", "Health", "Machine", "OpenCv", "Provider", "examine"]

# An ONNX model that adds its float32 [4] input `x` to itself. It was made, once, by:
#   node = helper.make_node("Add", ["x", "x"], ["y"])
#   value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [4])
#   graph = helper.make_graph([node], "g", [value("x")], [value("y")])
#   helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7, producer_name="")
DOUBLING_MODEL = base64.b64decode(
    "CAcSADo1Cg4KAXgKAXgSAXkiA0FkZBIBZ1oPCgF4EgoKCAgBEgQKAggEYg8KAXkSCgoICAESBAoCCARCBAoAEA0="
)

PACKAGES = (
    "edgeloop",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "opencv-python",
    "opencv-python-headless",
)
"""The runtime's own; of onnxruntime and OpenCV any flavour that is installed."""


@dataclass(frozen=True)
class Machine:
    """The computer and its Python; memory in GB (10^9 bytes)."""

    system: str
    architecture: str
    processor: str
    cores: int
    memory_gb: float
    python: str


@dataclass(frozen=True)
class Provider:
    """An execution provider of this onnxruntime, and why it does not work where it does not."""

    name: str
    works: bool
    reason: str


@dataclass(frozen=True)
class Camera:
    """A video device, and whether this user may read it."""

    path: str
    name: str
    readable: bool


@dataclass(frozen=True)
class OpenCv:
    """What this OpenCV was built with; codecs are those that it wrote a video with just now."""

    version: str
    camera_backends: Sequence[str]
    stream_backends: Sequence[str]
    video_codecs: Sequence[str]
    window_toolkit: str


@dataclass(frozen=True)
class Extra:
    """An optional part of edgeloop, and the packages that it lacks."""

    name: str
    missing: Sequence[str]


@dataclass(frozen=True)
class Health:
    """All of it."""

    machine: Machine
    packages: Mapping[str, str]
    providers: Sequence[Provider]
    cameras: Sequence[Camera]
    opencv: OpenCv
    screen: bool
    extras: Sequence[Extra]


def examine() -> Health:
    """Look at this machine.

    Returns:
        What is there, and which of it works.
    """
    return Health(
        machine=_machine(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        providers=[_prove(name) for name in ort.get_available_providers()],
        cameras=_cameras(),
        opencv=_opencv(),
        screen=has_screen(),
        extras=[_extra(name) for name in ("label", "export")],
    )


def _machine() -> Machine:
    info = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else []
    return Machine(
        system=platform.platform(terse=True),
        architecture=platform.machine(),
        processor=models[0] if models else platform.processor(),
        cores=_usable_cores(),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        python=platform.python_version(),
    )


def _usable_cores() -> int:
    """Cores that this process may use; containers and taskset give it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prove(provider: str) -> Provider:
    """Run a model on one provider alone; onnxruntime would otherwise fall back to the CPU in silence."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if provider != "CPUExecutionProvider":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    x = np.arange(4, dtype=np.float32)
    try:
        session = ort.InferenceSession(DOUBLING_MODEL, options, providers=[provider])
        (y,) = session.run(None, {"x": x})
    except Exception as error:  # onnxruntime's own exceptions share no other base
        return Provider(provider, works=False, reason=_plain(str(error)))
    works = bool(np.array_equal(y, 2 * x))
    return Provider(provider, works, "" if works else f"computes {y.tolist()} for {(2 * x).tolist()}")


def _plain(error: str) -> str:
    if "fallback to CPU EP" in error:
        return "takes no part of the model; onnxruntime would run it on the CPU in silence"
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", error).splitlines()[0]


def _cameras() -> list[Camera]:
    devices = sorted(Path("/dev").glob("video*"), key=lambda path: (len(path.name), path.name))
    return [Camera(str(device), _label(device), os.access(device, os.R_OK | os.W_OK)) for device in devices]


def _label(device: Path) -> str:
    """What a video device calls itself."""
    name = Path("/sys/class/video4linux", device.name, "name")
    return name.read_text().strip() if name.exists() else ""


def _opencv() -> OpenCv:
    registry = cv2.videoio_registry
    return OpenCv(
        version=cv2.__version__,
        camera_backends=_loadable(registry.getCameraBackends()),
        stream_backends=_loadable(registry.getStreamBackends()),
        video_codecs=[codec for codec in ("mp4v", "avc1", "MJPG") if _encodes(codec)],
        window_toolkit=cv2.currentUIFramework() or "none",
    )


def _loadable(backends: Sequence[int]) -> list[str]:
    """Names of the back ends that are there; the registry also lists plugins that are not."""
    registry = cv2.videoio_registry
    return [registry.getBackendName(backend) for backend in backends if registry.hasBackend(backend)]


def _encodes(codec: str) -> bool:
    suffix = ".avi" if codec == "MJPG" else ".mp4"
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, f"try{suffix}"))
        writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 30, (64, 64))
        if not writer.isOpened():
            return False
        writer.write(np.zeros((64, 64, 3), np.uint8))
        writer.release()
        return bool(cv2.VideoCapture(path, cv2.CAP_FFMPEG).read()[0])


def _extra(name: str) -> Extra:
    wanted = [line for line in requires("edgeloop") or [] if re.search(rf"extra == ['\"]{name}['\"]", line)]
    packages = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted]
    return Extra(name, [package for package in packages if _version(package) is None])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
