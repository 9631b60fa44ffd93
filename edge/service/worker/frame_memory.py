"""Memory of one frame that two processes share."""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrameMemory"]


class FrameMemory:
    """Memory of one frame, of a file without a name. It grows with the frame.

    Attributes:
        fd: File descriptor, which a child process inherits to open the same memory.
    """

    def __init__(self, fd: int | None = None) -> None:
        """Make new memory, or open that of another process by its inherited file descriptor."""
        self.fd = _unnamed_file() if fd is None else fd
        self._map: mmap.mmap | None = None

    def put(self, image: NDArray[np.uint8]) -> None:
        """Copy an image (uint8, any shape) into the memory."""
        if os.fstat(self.fd).st_size < image.nbytes:
            os.ftruncate(self.fd, image.nbytes)
        np.copyto(self.view(image.shape), image)

    def view(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """View the image of this shape, without a copy. Valid until the next one is put."""
        size = int(np.prod(shape))
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self.fd, size)
        return np.frombuffer(self._map, np.uint8, size).reshape(shape)

    def close(self) -> None:
        """Close the file; the memory is freed with the last view of it."""
        self._map = None
        os.close(self.fd)


def _unnamed_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("frame")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
