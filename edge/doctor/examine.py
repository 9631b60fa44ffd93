"""Diagnosis of this machine: everything reported was tested, not looked up."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import cv2
import onnxruntime as ort
import psutil

from edgeloop.edge.doctor.codecs import readable_codecs, writable_codecs
from edgeloop.edge.doctor.engine_probe import EngineHealth, examine_engines
from edgeloop.edge.doctor.provider_probe import probe
from edgeloop.edge.engines.open_engine import ENGINES, installed_engines
from edgeloop.edge.engines.providers import PROVIDERS
from edgeloop.edge.host.hardware import Accelerator, find_accelerators, processor_name, usable_cores
from edgeloop.edge.host.opencv import has_screen

__all__ = ["CameraDevice", "Extra", "Health", "Machine", "OpenCv", "Provider", "examine", "machine"]

PACKAGES = (
    "edgeloop",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-migraphx",
    "onnxruntime-qnn",
    "opencv-python",
    "opencv-python-headless",
    "openvino",
)
"""Packages of the runtime, with all variants of onnxruntime and OpenCV, and further engines."""


@dataclass(frozen=True)
class Machine:
    """Computer and Python; memory in GB (10^9 bytes)."""

    system: str
    architecture: str
    processor: str
    cores: int
    memory_gb: float
    python: str


@dataclass(frozen=True)
class Provider:
    """Execution provider of an installed engine, and the reason if it does not work.

    It works if it ran every node of a tiny model.
    """

    name: str
    works: bool
    reason: str


@dataclass(frozen=True)
class CameraDevice:
    """Video device; readable if this user may open it."""

    path: str
    name: str
    readable: bool


@dataclass(frozen=True)
class OpenCv:
    """Build of OpenCV; codecs are those that it just wrote and read."""

    version: str
    camera_backends: Sequence[str]
    stream_backends: Sequence[str]
    writes: Sequence[str]
    reads: Sequence[str]
    window_toolkit: str


@dataclass(frozen=True)
class Extra:
    """Extra of edgeloop, and its missing packages."""

    name: str
    missing: Sequence[str]


@dataclass(frozen=True)
class Health:
    """Report on this machine."""

    machine: Machine
    packages: Mapping[str, str]
    accelerators: Sequence[Accelerator]
    providers: Sequence[Provider]
    engines: Sequence[EngineHealth]
    cameras: Sequence[CameraDevice]
    opencv: OpenCv
    screen: bool
    extras: Sequence[Extra]


def examine() -> Health:
    """Examine this machine."""
    return Health(
        machine=machine(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        accelerators=find_accelerators(),
        providers=_providers(),
        engines=examine_engines(),
        cameras=_cameras(),
        opencv=_opencv(),
        screen=has_screen(),
        extras=[_extra(name) for name in ("track", "label", "export", "serve")],
    )


def machine() -> Machine:
    """Describe the computer."""
    return Machine(
        system=platform.platform(terse=True),
        architecture=platform.machine(),
        processor=processor_name(),
        cores=usable_cores(),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        python=platform.python_version(),
    )


def _providers() -> list[Provider]:
    """Test every provider of this onnxruntime, and those of OpenVINO if it is installed.

    It brings all of its devices, so of GPU and NPU those are tested that this machine has.
    """
    here = [name for name, full in PROVIDERS.items() if full in ort.get_available_providers()]
    if installed_engines()["openvino"]:
        seen = {"openvino", *(name for each in find_accelerators() for name in each.providers)}
        here += [name for name in ENGINES["openvino"].providers if name in seen]
    reasons = [probe(name) for name in here]
    return [
        Provider(name, works=not reason, reason=reason) for name, reason in zip(here, reasons, strict=True)
    ]


def _cameras() -> list[CameraDevice]:
    devices = sorted(Path("/dev").glob("video*"), key=lambda path: (len(path.name), path.name))
    return [
        CameraDevice(str(device), _label(device), os.access(device, os.R_OK | os.W_OK)) for device in devices
    ]


def _label(device: Path) -> str:
    """Read the name of a video device."""
    name = Path("/sys/class/video4linux", device.name, "name")
    return name.read_text().strip() if name.exists() else ""


def _opencv() -> OpenCv:
    registry = cv2.videoio_registry
    return OpenCv(
        version=cv2.__version__,
        camera_backends=_loadable(registry.getCameraBackends()),
        stream_backends=_loadable(registry.getStreamBackends()),
        writes=writable_codecs(),
        reads=readable_codecs(),
        window_toolkit=cv2.currentUIFramework() or "none",
    )


def _loadable(backends: Sequence[int]) -> list[str]:
    """Name the installed backends; the registry also lists plugins that are not."""
    registry = cv2.videoio_registry
    return [registry.getBackendName(backend) for backend in backends if registry.hasBackend(backend)]


def _extra(name: str) -> Extra:
    wanted = [line for line in requires("edgeloop") or [] if re.search(rf"extra == ['\"]{name}['\"]", line)]
    packages = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted]
    return Extra(name, [package for package in packages if _version(package) is None])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
