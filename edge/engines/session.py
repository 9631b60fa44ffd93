"""ONNX session: load a model on an execution provider and run it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edgeloop.edge.engines.accelerators.device_buffers import DeviceBuffers, has_fixed_shapes
from edgeloop.edge.engines.accelerators.gpu_session import GPU_PROVIDERS, captures
from edgeloop.edge.engines.accelerators.page_lock import loaded_runtime
from edgeloop.edge.engines.onnx_file import read_onnx, with_image_size
from edgeloop.edge.engines.providers import PROVIDERS, first_line, open_session
from edgeloop.edge.host.hardware import physical_cores
from edgeloop.edge.host.malloc import return_freed_memory
from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["Session"]

_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}
_FATAL_ONLY = 4


class Session:
    """Loaded model: arrays in, arrays out.

    Attributes:
        path: Path of the model.
        placement: Execution provider, and the share of the model that runs on it.
        threads: CPU threads of one inference; 0 if onnxruntime chooses.
        metadata: Metadata of the file.
        inputs: Inputs of the graph.
        outputs: Outputs of the graph.
    """

    def __init__(
        self,
        path: Path,
        *,
        provider: str = "auto",
        allow_cpu: bool = False,
        threads: int | None = None,
        bare: bool = False,
        weights_beside: bool = False,
    ) -> None:
        """Load a model.

        Args:
            path: ONNX file.
            provider: "auto" for the best one that works, or one of
                `edgeloop.edge.engines.providers.PROVIDERS`, which then has to run every node.
            allow_cpu: Let the CPU run the operators that the provider does not support.
            threads: CPU threads of one inference; None for one per physical core, if `bare` onnxruntime's
                choice.
            bare: Keep the default settings of onnxruntime, except for safety and `threads`; the baseline of
                `bench`.
            weights_beside: Read external weights from the folder of the model. For trusted models only:
                others could name any file there.

        Raises:
            NoInputError: The file does not exist.
            ModelError: The file is no ONNX model, has external weights, or was changed after export.
            UsageError: The provider is unknown.
            UnavailableError: The provider does not work here, or does not support the whole model.
        """
        self.path = path
        # The model names the files of external weights; below the null device there is none.
        options = _options(threads, bare=bare)
        weights_in = str(path.parent) if weights_beside else os.devnull
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", weights_in)
        self._session, self.placement = open_session(
            read_onnx(path), path, options, provider=provider, allow_cpu=allow_cpu, plain=bare
        )
        # The content of the file, kept for a fallback that `open_session` turns off.
        self._session._model_bytes = None
        return_freed_memory()
        self.threads: int = options.intra_op_num_threads
        self.metadata = _metadata(self._session, path)
        self.inputs = tuple(_tensor_info(node) for node in self._session.get_inputs())
        self.outputs = tuple(_tensor_info(node) for node in self._session.get_outputs())
        self._buffers = None if bare else self._device_buffers()

    def run(self, *tensors: NDArray[np.generic]) -> list[NDArray[np.floating]]:
        """Run the model once.

        Args:
            tensors: Inputs in the order of the graph, with its shapes and dtypes. An input that takes the
                (width, height) of the image may be left out: it gets that of the first.

        Returns:
            Outputs in the order of the graph.

        Raises:
            ModelError: Inference fails.
        """
        given = tuple(with_image_size(tensors, self.inputs))
        feeds = {info.name: tensor for info, tensor in zip(self.inputs, given, strict=True)}
        try:
            outputs: list[NDArray[np.floating]] = (
                self._session.run(None, feeds) if self._buffers is None else self._buffers.run(given)
            )
        except ModelError as error:
            raise ModelError(f"{self.path}: inference failed: {error}") from error
        except Exception as error:  # onnxruntime's errors have no base class of their own
            raise ModelError(f"{self.path}: inference failed: {first_line(error)}") from error
        return outputs

    def close(self) -> None:
        """Free the model."""
        if self._buffers is not None:
            self._buffers.close()
        del self._buffers, self._session
        return_freed_memory()

    def _device_buffers(self) -> DeviceBuffers | None:
        """Buffers on the GPU; None on another provider, where they gain nothing, or for open shapes."""
        provider = self.placement.provider
        if provider not in GPU_PROVIDERS:
            return None
        captured = captures(self._session, provider, PROVIDERS[provider])
        if has_fixed_shapes((*self.inputs, *self.outputs)):
            return DeviceBuffers(
                self._session, self.inputs, self.outputs, captured=captured, runtime=loaded_runtime()
            )
        if captured:  # a graph that is replayed without bound buffers gives the results of other inputs
            raise UnavailableError(
                f"{self.path}: an output has an open size once its batch is 1, expected fixed ones on "
                f"'{provider}'; export it with fixed sizes"
            )
        return None


def _metadata(session: ort.InferenceSession, path: Path) -> Mapping[str, str]:
    try:
        return dict(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: its metadata is no text ({error.reason}); the file is damaged") from error


def _options(threads: int | None, *, bare: bool) -> ort.SessionOptions:
    # Also for users of the API, who do not have the environment variable of the command line.
    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    if bare:
        options.intra_op_num_threads = threads or 0
        return options
    # Graph optimization keeps its default, all of it: for yolo26n, the demo's detector and NanoDet it was
    # never slower than less, and up to 2.5 times as fast.
    options.intra_op_num_threads = threads or physical_cores()
    options.inter_op_num_threads = 1
    # Neither memory plan is faster, and two inferences at a time take 36 MB more with the pattern and 42 MB
    # more with reuse (yolo26n, 640 px).
    options.enable_mem_pattern = False
    options.enable_mem_reuse = False
    _register_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Spinning threads take the cores from decoding and drawing: on two busy cores an inference took 56 ms
    # with and 29 ms without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


@cache
def _register_arena() -> None:
    """Share one arena, which grows by what is requested, among the sessions of this process.

    A default arena doubles with each step, and concurrent inferences come to touch ever more of it.
    """
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    exact = ort.OrtArenaCfg({"arena_extend_strategy": 1})
    ort.create_and_register_allocator(memory, exact)


def _tensor_info(node: ort.NodeArg) -> TensorInfo:
    shape = tuple(side if isinstance(side, int) else None for side in node.shape)
    dtype = _DTYPES.get(node.type, node.type.removeprefix("tensor(").removesuffix(")"))
    return TensorInfo(node.name, shape, dtype)
