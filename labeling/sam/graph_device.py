"""ONNX graphs on the device of a segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgeloop.edge.engines.session import Session
from edgeloop.models.errors import UnavailableError

__all__ = ["Device", "open_graph"]

Device = Literal["cpu", "cuda"]


def open_graph(
    path: Path, device: Device, *, weights_beside: bool = False, threads: int | None = None
) -> Session:
    """Open an ONNX model on a device; on CUDA, the CPU may run the operators that CUDA does not support.

    Args:
        path: The file.
        device: Processor to run on.
        weights_beside: As of `Session`.
        threads: CPU threads of one inference; None for one per physical core.

    Raises:
        NoInputError: The file does not exist.
        ModelError: It is not an ONNX model.
        UnavailableError: onnxruntime cannot use the device.
    """
    allow_cpu = device != "cpu"
    session = Session(
        path, provider=device, allow_cpu=allow_cpu, weights_beside=weights_beside, threads=threads
    )
    if session.placement.provider != device:
        reason = session.placement.refused.split(";")[0]
        raise UnavailableError(
            f"--device {device}: onnxruntime cannot use it ({reason}); install onnxruntime-gpu and the "
            "drivers of the device, or leave --device out"
        )
    return session
