"""Engine ncnn (https://github.com/Tencent/ncnn): ARM processors, and GPUs by Vulkan."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import ncnn
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.engines.facts_file import read_facts
from edgeloop.edge.engines.placement import Placement
from edgeloop.edge.host.hardware import physical_cores
from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["NcnnEngine"]

_PARAM, _BIN = "model.ncnn.param", "model.ncnn.bin"


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
        if provider == "vulkan" and not ncnn.get_gpu_count():
            raise UnavailableError("provider 'vulkan': ncnn finds no GPU here; are its drivers there?")
        net = ncnn.Net()
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
            extractor.input(info.name, ncnn.Mat(np.ascontiguousarray(tensor[0])).clone())
        outputs = []
        for info in self.outputs:
            failed, mat = extractor.extract(info.name)
            if failed:
                raise ModelError(f"{self.path}: inference failed: ncnn gives no output '{info.name}'")
            outputs.append(np.array(mat, np.float32).reshape(tuple(side or 1 for side in info.shape)))
        return outputs

    def close(self) -> None:
        """Free the model."""
        self._net.clear()


def _read(path: Path) -> tuple[str, bytes]:
    """Read the layers and the weights."""
    try:
        with zipfile.ZipFile(path) as packed:
            return packed.read(_PARAM).decode(), packed.read(_BIN)
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: expected a zip of {_PARAM} and {_BIN}, got {error}") from error
