"""Engine ncnn (https://github.com/Tencent/ncnn): ARM processors, and GPUs by Vulkan."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.engines.facts_file import read_facts
from edgeloop.edge.engines.placement import Placement
from edgeloop.edge.host.hardware import physical_cores
from edgeloop.edge.host.stderr_filter import without_lines
from edgeloop.models.errors import ModelError, NoInputError, UnavailableError
from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["NcnnEngine"]

_PARAM, _BIN = "model.ncnn.param", "model.ncnn.bin"
# Turns for which a thread of ncnn waits awake for the next layer before it sleeps. Two threads that sleep at
# once, as the command line lets torch's, took 19 ms for the demo's detector, these 8 ms; beside a process
# that keeps one of the two cores busy both took 17 ms.
_SPINS = "10000"
# ncnn describes every GPU that it finds, and has no switch for that.
_CHATTER = re.compile(r"vkCreateInstance failed|\[\d+ .*\] ")


class NcnnEngine:
    """Model of a `.ncnn` file, a zip of ncnn's two files; attributes as in `Engine`."""

    def __init__(self, path: Path, *, provider: str = "cpu", threads: int | None = None) -> None:
        """Load a model.

        Args:
            path: The file, with its facts beside it.
            provider: "cpu" or "vulkan".
            threads: CPU threads of one inference; None for one per physical core.

        Raises:
            NoInputError: The file does not exist.
            ModelError: The file or its facts are damaged.
            UnavailableError: There is no GPU with Vulkan.
        """
        facts = read_facts(path, "ncnn")
        self.path = path
        self.metadata: Mapping[str, str] = facts.metadata
        self.inputs: tuple[TensorInfo, ...] = tuple(each.info for each in facts.inputs)
        self.outputs: tuple[TensorInfo, ...] = tuple(each.info for each in facts.outputs)
        self.threads = threads or physical_cores()
        ncnn = _ncnn()
        if provider == "vulkan" and not _gpu_count(ncnn):
            raise UnavailableError("provider 'vulkan': ncnn finds no GPU here; are its drivers there?")
        net = ncnn.Net()
        self._mat = ncnn.Mat
        net.opt.num_threads = self.threads
        net.opt.use_vulkan_compute = provider == "vulkan"
        half = facts.options.get("precision") == "fp16"
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half
        param, self._weights = _read(path)
        if net.load_param_mem(param):
            raise ModelError(f"{path}: ncnn cannot read its layers; export it again")
        # ncnn reads the weights in place: `_weights` must live as long as the net.
        net.load_model_mem(self._weights)
        self._net = net
        # ncnn has no report of layers: those that Vulkan lacks run on the CPU unnoticed.
        self.placement = Placement(provider, 1.0 if provider == "cpu" else None, engine="ncnn")

    def run(self, *tensors: NDArray[np.generic]) -> list[NDArray[np.floating]]:
        """Run the model once, as `Engine.run` says."""
        extractor = self._net.create_extractor()
        for info, tensor in zip(self.inputs, tensors, strict=True):
            # A Mat of an array does not keep it alive; the copy has memory of its own.
            image = np.ascontiguousarray(tensor[0])
            extractor.input(info.name, self._mat(image).clone())
        outputs = []
        for info in self.outputs:
            failed, mat = extractor.extract(info.name)
            if failed:
                raise ModelError(f"{self.path}: inference failed: ncnn gives no output '{info.name}'")
            outputs.append(self._shaped(np.array(mat, np.float32), info))
        return outputs

    def close(self) -> None:
        """Free the model."""
        self._net.clear()

    def _shaped(self, output: NDArray[np.float32], info: TensorInfo) -> NDArray[np.float32]:
        """Add the axis of the batch, which ncnn does not have."""
        shape = tuple(side or 1 for side in info.shape)
        if output.shape != shape[1:]:
            raise ModelError(f"{self.path}: output '{info.name}' is {output.shape}, its facts say {shape}")
        return output[None]


def _gpu_count(ncnn: ModuleType) -> int:
    """Number of GPUs with Vulkan."""
    with without_lines(_CHATTER):
        return int(ncnn.get_gpu_count())


@cache
def _ncnn() -> ModuleType:
    """Import ncnn, whose OpenMP reads its settings from the environment then."""
    name, earlier = "GOMP_SPINCOUNT", os.environ.get("GOMP_SPINCOUNT")
    os.environ.setdefault(name, _SPINS)
    try:
        import ncnn
    finally:
        if earlier is None:
            del os.environ[name]
    module: ModuleType = ncnn
    return module


def _read(path: Path) -> tuple[str, bytes]:
    """Read the layers and the weights."""
    try:
        with zipfile.ZipFile(path) as packed:
            # Compressed they could be larger than the memory.
            if any(packed.getinfo(name).compress_type != zipfile.ZIP_STORED for name in (_PARAM, _BIN)):
                raise ModelError(f"{path}: expected a zip without compression")
            return packed.read(_PARAM).decode(), packed.read(_BIN)
    except (
        zipfile.BadZipFile,
        KeyError,
        UnicodeDecodeError,
        RuntimeError,
    ) as error:  # RuntimeError: encrypted
        raise ModelError(f"{path}: expected a zip of {_PARAM} and {_BIN}, got {error}") from error
    except OSError as error:
        raise NoInputError(f"{path}: cannot be read ({error.strerror})") from error
