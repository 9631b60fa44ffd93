"""CPU cores and accelerators of this machine."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = [
    "Accelerator",
    "decoder_threads",
    "find_accelerators",
    "limit_cores",
    "limited_cores",
    "physical_cores",
    "processor_name",
    "usable_cores",
]

_PIXELS_A_THREAD = 1280 * 720

_limit: int | None = None  # as of `limit_cores`


@dataclass(frozen=True)
class Accelerator:
    """Accelerator of this machine.

    Attributes:
        name: Vendor and kind.
        providers: Values of `--provider` that run ONNX files on it, best first; empty if there is none.
        advice: Package to install, or another step to take.
        engine: Name of the engine that runs files of its own on it; "" if there is none.
    """

    name: str
    providers: Sequence[str]
    advice: str
    engine: str = ""


_NVIDIA = Accelerator(
    "NVIDIA GPU",
    ("cuda", "tensorrt"),
    "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]', on NVIDIA's driver",
)
_JETSON = Accelerator(
    "NVIDIA Jetson",
    ("tensorrt", "cuda"),
    "install the onnxruntime-gpu that NVIDIA builds for this JetPack in place of onnxruntime; "
    "the one on PyPI is for desktop GPUs",
)
_INTEL_GPU = Accelerator(
    "Intel GPU",
    ("openvino-gpu",),
    "pip install 'edgeloop[openvino]', on Intel's compute runtime (Debian: apt install intel-opencl-icd)",
)
_INTEL_NPU = Accelerator(
    "Intel NPU",
    ("openvino-npu",),
    "pip install 'edgeloop[openvino]', on Intel's linux-npu-driver",
)
_AMD = Accelerator(
    "AMD GPU", ("migraphx",), "pip uninstall onnxruntime, then pip install onnxruntime-migraphx, on ROCm"
)
_QUALCOMM = Accelerator(
    "Qualcomm",
    ("qnn",),
    "pip install 'edgeloop[qnn]'; it takes quantized models",
)
_PI = Accelerator(
    "Raspberry Pi",
    ("cpu",),
    "nothing to install: its GPU runs no models; a 64-bit system and an input of 320 px serve the CPU best",
)
_APPLE = Accelerator("Apple Neural Engine and GPU", ("coreml",), "pip install onnxruntime brings CoreML")
_HAILO = Accelerator(
    "Hailo",
    (),
    "install HailoRT and its Python package from Hailo's developer zone; `edgeloop export --target hailo` "
    "writes what Hailo's compiler takes",
    "hailo",
)
_ROCKCHIP = Accelerator(
    "Rockchip NPU",
    (),
    "pip install 'edgeloop[rknn]'; `edgeloop export --target rknn` makes the model",
    "rknn",
)
_CORAL = Accelerator("Coral Edge TPU", (), "no engine runs on it; the CPU runs the model")

# By vendor and the class of a PCI device: 03 is a display controller, 12 a processing accelerator.
_PCI = {
    ("0x10de", "0x03"): _NVIDIA,
    ("0x8086", "0x03"): _INTEL_GPU,
    ("0x8086", "0x12"): _INTEL_NPU,
    ("0x1002", "0x03"): _AMD,
    ("0x1e60", "0x12"): _HAILO,
    ("0x1ac1", "0x08"): _CORAL,
}
# By words in the device tree of a board.
_BOARDS = {
    "jetson": _JETSON,
    "tegra": _JETSON,
    "raspberry pi": _PI,
    "qcom": _QUALCOMM,
    "qualcomm": _QUALCOMM,
    **dict.fromkeys(("rk3588", "rk3576", "rk3568", "rk3566", "rk3562"), _ROCKCHIP),
}


def usable_cores() -> int:
    """Count the logical cores that this process may use; containers, taskset and `limit_cores` limit them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if _limit is None else min(cores, _limit)


def limit_cores(cores: int) -> None:
    """Let this process use so many cores, because others use the rest; call it before torch is imported."""
    global _limit
    _limit = cores
    os.environ["OMP_NUM_THREADS"] = str(cores)


@contextmanager
def limited_cores(cores: int) -> Iterator[None]:
    """Let models that are opened meanwhile use so many cores each, because several threads will run them."""
    global _limit
    before, _limit = _limit, cores
    try:
        yield
    finally:
        _limit = before


def decoder_threads(pixels: float) -> int:
    """Number of threads on which FFmpeg decodes frames of so many pixels: no more than they need.

    Each further one may delay the output by a frame: a stream decoded by eight threads was 0.3 s behind its
    camera, by one 0.07 s.
    """
    return max(1, min(math.ceil(pixels / _PIXELS_A_THREAD), usable_cores()))


def physical_cores() -> int:
    """Count the physical cores it may use; two inference threads on one core slow each other."""
    return min(psutil.cpu_count(logical=False) or 1, usable_cores())


def processor_name() -> str:
    """Name the model of the processor if the system has it, else the architecture, or ""."""
    info = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else []
    return models[0] if models else platform.processor()


def find_accelerators(root: Path = Path("/"), system: str | None = None) -> list[Accelerator]:
    """Find accelerators.

    Args:
        root: Folder of `proc`, `sys` and `dev`.
        system: Operating system; default `platform.system()`.

    Returns:
        Each kind of accelerator once, boards first.
    """
    found = [*_boards(root), *_pci(root)]
    if _JETSON in found:  # its GPU is the board's own
        found = [each for each in found if each != _NVIDIA]
    if (system or platform.system()) == "Darwin":
        found.append(_APPLE)
    return list(dict.fromkeys(found))


def _boards(root: Path) -> Iterator[Accelerator]:
    said = ""
    for name in ("model", "compatible"):
        path = root / "proc/device-tree" / name
        said += path.read_bytes().decode(errors="replace").lower() if path.exists() else ""
    return (board for word, board in _BOARDS.items() if word in said)


def _pci(root: Path) -> Iterator[Accelerator]:
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        accelerator = _PCI.get((vendor, kind[:4]))
        if accelerator is not None:
            yield _with_rights(accelerator, root)
    # A container may have the device without its PCI entry.
    if (root / "dev/nvidia0").exists():
        yield _NVIDIA


def _with_rights(accelerator: Accelerator, root: Path) -> Accelerator:
    """Add advice on permissions if only those are missing."""
    folder = {_INTEL_GPU: "dri", _INTEL_NPU: "accel"}.get(accelerator)
    nodes = sorted((root / "dev" / folder).glob("[ra]*")) if folder else []
    if not nodes or any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        return accelerator
    advice = f"add this user to the group `render`, which may open {nodes[0]}; {accelerator.advice}"
    return Accelerator(accelerator.name, accelerator.providers, advice)
