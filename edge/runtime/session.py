"""One ONNX file, loaded and ready to run, on the execution provider that was asked for."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edgeloop.edge.host.hardware import physical_cores
from edgeloop.edge.runtime.providers import first_line, open_session
from edgeloop.models.bundle.seal import check_seal
from edgeloop.models.errors import ModelError, NoInputError
from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["Session"]

_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}
_MAX_BYTES = 1 << 31
_FATAL_ONLY = 4


class Session:
    """A loaded model: arrays in, arrays out.

    Attributes:
        path: the file it was loaded from.
        placement: the execution provider that runs it, and how much of it.
        threads: CPU threads for one inference; 0 where onnxruntime chooses.
        metadata: the key-value pairs that the file carries.
        inputs: the graph's inputs.
        outputs: the graph's outputs.
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
            path: an ONNX file.
            provider: "auto" for the best one that works, or one of
                `edgeloop.edge.runtime.providers.PROVIDERS`, which then has to run every node.
            allow_cpu: let the CPU run what the provider that was asked for does not.
            threads: CPU threads for one inference; None for one a core that this process may use.
            bare: leave everything but safety to onnxruntime's own settings, as a measure for ours.
            weights_beside: read the weights that the model keeps in other files of its folder. For models of
                ours: others could name any file there.

        Raises:
            NoInputError: there is no such file.
            ModelError: the file is no ONNX model, keeps its weights elsewhere, or was changed after export.
            UsageError: there is no provider of this name.
            UnavailableError: the provider that was asked for does not work here, or not for all of the model.
        """
        self.path = path
        # Weights in other files would be read from wherever the model says; below the null device lies none.
        options = _options(threads, bare=bare)
        weights_in = str(path.parent) if weights_beside else os.devnull
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", weights_in)
        self._session, self.placement = open_session(
            _read(path), path, options, provider=provider, allow_cpu=allow_cpu
        )
        self._session._model_bytes = None  # the whole file, kept for a fallback that `open_session` turns off
        _give_back_memory()
        self.threads: int = options.intra_op_num_threads
        self.metadata = _metadata(self._session, path)
        self.inputs = tuple(_tensor_info(node) for node in self._session.get_inputs())
        self.outputs = tuple(_tensor_info(node) for node in self._session.get_outputs())

    @property
    def provider(self) -> str:
        """Short name of the execution provider that really runs it."""
        return self.placement.provider

    def run(self, *tensors: NDArray[np.generic]) -> list[NDArray[np.floating]]:
        """Run the model once.

        Args:
            tensors: the inputs in the graph's order, of the shapes and dtypes that it takes.

        Returns:
            The outputs, in the graph's order.

        Raises:
            ModelError: the graph does not run on this input.
        """
        feeds = {info.name: tensor for info, tensor in zip(self.inputs, tensors, strict=True)}
        try:
            outputs: list[NDArray[np.floating]] = self._session.run(None, feeds)
        except Exception as error:  # onnxruntime's errors have no base class of their own
            raise ModelError(f"{self.path}: inference failed: {first_line(error)}") from error
        return outputs

    def close(self) -> None:
        """Free the model; it cannot be run any more."""
        del self._session
        _give_back_memory()


def _read(path: Path) -> bytes:
    """A model whose content is whole, as far as it says what it should be."""
    model = _content(path)
    try:
        check_seal(model)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return model


def _give_back_memory() -> None:
    """Free the holes that models leave in the heap; glibc keeps them until it is asked."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _metadata(session: ort.InferenceSession, path: Path) -> Mapping[str, str]:
    try:
        return dict(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: its metadata is no text ({error.reason}); the file is damaged") from error


def _content(path: Path) -> bytes:
    if not path.exists():
        raise NoInputError(f"{path}: there is no such model file")
    if not path.is_file():
        raise ModelError(f"{path}: expected an ONNX file, got a folder or device")
    try:
        if path.stat().st_size >= _MAX_BYTES:
            raise ModelError(f"{path}: {path.stat().st_size} bytes, expected less than {_MAX_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise NoInputError(f"{path}: cannot read the model file ({error.strerror})") from error


def _options(threads: int | None, *, bare: bool) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    if bare:
        return options
    # Unlike the number of threads, graph optimization is not chosen by measuring: over yolo26n, the demo's
    # detector and NanoDet all of it was never slower, and up to 2.5 times as fast as less.
    options.intra_op_num_threads = threads or physical_cores()
    options.inter_op_num_threads = 1
    # The arena alone, without plans made ahead: one reserves the most that an inference needs in one piece,
    # the other keeps each tensor's memory until a later one of its size takes it. Neither is faster, and two
    # inferences at a time take 36 MB more with the first and 42 MB more with the second (yolo26n, 640 px).
    options.enable_mem_pattern = False
    options.enable_mem_reuse = False
    _register_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads that wait by spinning take the cores from decoding and drawing: on two busy cores an inference
    # took 56 ms with, and 29 ms without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


@cache
def _register_arena() -> None:
    """Let the sessions of this process take memory from one arena that grows by what is asked for.

    By default an arena doubles with each step. Images that are detected at the same time meet in ever new
    ways, so for tens of thousands of frames they come to touch more of that; and 640 px took 8 MB more.
    """
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    exact = ort.OrtArenaCfg({"arena_extend_strategy": 1})
    ort.create_and_register_allocator(memory, exact)


def _tensor_info(node: ort.NodeArg) -> TensorInfo:
    shape = tuple(side if isinstance(side, int) else None for side in node.shape)
    dtype = _DTYPES.get(node.type, node.type.removeprefix("tensor(").removesuffix(")"))
    return TensorInfo(node.name, shape, dtype)
