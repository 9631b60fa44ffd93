"""Buffers of a session that are bound once: inputs on the device, outputs there or in page-locked memory.

`InferenceSession.run` allocates on the device at each call, and copies from memory that the driver has to
copy first. A CUDA graph replays the addresses that it was captured with, so it needs such buffers in any
case, all on the device, and two threads must not replay it at a time:
https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#using-cuda-graphs-preview
https://github.com/microsoft/onnxruntime/issues/18509
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edgeloop.edge.engines.accelerators.page_lock import CudaRuntime, PageLock
from edgeloop.models.errors import ModelError
from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["MOST_SETS", "DeviceBuffers", "has_fixed_shapes"]

#: Sets of buffers, and so inferences at a time.
MOST_SETS = 4


class _Buffers(NamedTuple):
    """One binding, its inputs on the device, and its outputs there or on the host."""

    binding: ort.IOBinding
    inputs: list[ort.OrtValue]
    on_device: list[ort.OrtValue]
    on_host: list[NDArray[np.floating]]


class DeviceBuffers:
    """Runs a session with fixed shapes on bound buffers, a set for each call that runs at the time."""

    def __init__(
        self,
        session: ort.InferenceSession,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        *,
        device: str = "cuda",
        captured: bool = False,
        runtime: CudaRuntime | None = None,
    ) -> None:
        """Prepare to run a session; buffers are allocated by the calls.

        Args:
            session: The session.
            inputs: Its inputs, of fixed shapes.
            outputs: Its outputs, likewise.
            device: onnxruntime's name of the device of the buffers, "cuda" or "cpu".
            captured: True if the session replays a CUDA graph: one set of buffers, and outputs on the device.
            runtime: CUDA's runtime, to lock the pages of host memory; None to leave them as they are.
        """
        self.captured = captured
        self.pages = PageLock(runtime)
        self._session, self._device = session, device
        self._infos, self._output_infos = tuple(inputs), tuple(outputs)
        self._free: queue.LifoQueue[_Buffers] = queue.LifoQueue()
        self._most = 1 if captured else MOST_SETS
        self._made, self._lock = 0, threading.Lock()

    @property
    def sets(self) -> int:
        """Number of sets that are allocated."""
        return self._made

    def run(self, tensors: Sequence[NDArray[np.generic]]) -> list[NDArray[np.floating]]:
        """Run the session once; a call waits if all sets are in use.

        Args:
            tensors: Inputs in the order of the graph.

        Returns:
            Outputs in the order of the graph, as arrays of the caller's own.

        Raises:
            ModelError: An input has another shape or dtype than the graph's.
        """
        contiguous = [np.ascontiguousarray(tensor) for tensor in tensors]
        for info, tensor in zip(self._infos, contiguous, strict=True):
            if tensor.shape != info.shape or tensor.dtype != info.dtype:
                raise ModelError(
                    f"input '{info.name}': got {tensor.dtype} of dimensions {tensor.shape}, expected "
                    f"{info.dtype} of {info.shape}"
                )
        buffers = self._take()
        try:
            for value, tensor in zip(buffers.inputs, contiguous, strict=True):
                self.pages.add(tensor)
                value.update_inplace(tensor)
            self._session.run_with_iobinding(buffers.binding)
            # A value on the CPU shares its memory with the array that it gives; one on a device is copied.
            outputs = [np.array(value.numpy()) for value in buffers.on_device]
            return outputs or [array.copy() for array in buffers.on_host]
        finally:
            self._free.put(buffers)

    def close(self) -> None:
        """Let go of the buffers."""
        self._free = queue.LifoQueue()
        self.pages.close()

    def _take(self) -> _Buffers:
        with self._lock:
            if self._free.empty() and self._made < self._most:
                self._made += 1
                return self._allocate()
        return self._free.get()

    def _allocate(self) -> _Buffers:
        binding = self._session.io_binding()
        inputs, on_device, on_host = [], [], []
        for info in self._infos:
            inputs.append(_on_device(info, self._device))
            binding.bind_ortvalue_input(info.name, inputs[-1])
        for info in self._output_infos:
            if self.captured:
                on_device.append(_on_device(info, self._device))
                binding.bind_ortvalue_output(info.name, on_device[-1])
                continue
            array: NDArray[np.floating] = np.zeros(_sides(info), info.dtype)
            self.pages.add(array)
            binding.bind_output(info.name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
            on_host.append(array)
        return _Buffers(binding, inputs, on_device, on_host)


def has_fixed_shapes(infos: Sequence[TensorInfo]) -> bool:
    """True if every axis of every tensor has a size."""
    return all(side is not None for info in infos for side in info.shape)


def _on_device(info: TensorInfo, device: str) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_shape_and_type(_sides(info), np.dtype(info.dtype).type, device, 0)


def _sides(info: TensorInfo) -> list[int]:
    return [side for side in info.shape if side is not None]
