"""Engine RKNN (https://github.com/airockchip/rknn-toolkit2): the NPUs of Rockchip's boards.

rknn-toolkit-lite2 runs on a board only. This is written against its documented API and tested against a
double of it; what the export measured is the same model in the simulator of rknn-toolkit2.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rknnlite.api import RKNNLite

from edgeloop.edge.engines.facts_file import read_facts
from edgeloop.edge.engines.placement import Placement
from edgeloop.models.errors import ModelError, UnavailableError
from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["RknnEngine"]

_BOARD = Path("/proc/device-tree/compatible")
# These two have the same NPU and take the same files.
_SAME = {"rk3566": "rk3568"}
_CHIPS = ("rk3562", "rk3566", "rk3568", "rk3576", "rk3588")


class RknnEngine:
    """Model of a `.rknn` file; attributes as in `Engine`."""

    def __init__(self, path: Path, *, provider: str = "npu", threads: int | None = None) -> None:
        """Load a model.

        Args:
            path: The file, with its facts beside it.
            provider: "npu".
            threads: Without effect: the NPU has none.

        Raises:
            NoInputError: The file does not exist.
            ModelError: The file or its facts are damaged, or for another chip.
            UnavailableError: The NPU, its driver or its library is not there.
        """
        del threads
        facts = read_facts(path, "rknn")
        self.path = path
        self.metadata: Mapping[str, str] = facts.metadata
        self.inputs: tuple[TensorInfo, ...] = tuple(each.info for each in facts.inputs)
        self.outputs: tuple[TensorInfo, ...] = tuple(each.info for each in facts.outputs)
        self.threads = 0
        chip = facts.options.get("chip", "")
        _check_board(path, chip)
        self._lock, self._model = threading.Lock(), RKNNLite()
        if code := self._model.load_rknn(str(path)):
            raise ModelError(f"{path}: RKNN cannot read it (load_rknn returned {code}); export it again")
        # Without a mask of cores the driver takes one that is free.
        if code := self._model.init_runtime():
            self._model.release()
            raise UnavailableError(
                f"{path}: RKNN did not start (init_runtime returned {code}); the file is for chip '{chip}' "
                "and needs the driver of its NPU, and librknnrt.so of the toolkit's version or newer"
            )
        # The runtime has no report of layers: those that the NPU lacks run on the CPU unnoticed.
        self.placement = Placement(provider, None, engine="rknn")

    def run(self, *tensors: NDArray[np.generic]) -> list[NDArray[np.floating]]:
        """Run the model once, as `Engine.run` says."""
        with self._lock:
            found = self._model.inference(inputs=[np.ascontiguousarray(tensor) for tensor in tensors])
        if found is None:
            raise ModelError(f"{self.path}: inference failed: RKNN gives no outputs")
        shapes, expected = [tuple(each.shape) for each in found], [info.shape for info in self.outputs]
        if shapes != expected:
            raise ModelError(f"{self.path}: RKNN gives outputs {shapes}, expected {expected} as at export")
        return [np.array(each, np.float32) for each in found]

    def close(self) -> None:
        """Free the model."""
        self._model.release()


def _check_board(path: Path, chip: str) -> None:
    """Check that a file is for the chip of this board, if the board tells it."""
    try:
        said = _BOARD.read_text(errors="replace")
    except OSError:
        return
    here = {_SAME.get(each, each) for each in _CHIPS if each in said}
    if here and _SAME.get(chip, chip) not in here:
        board = " or ".join(sorted(here))
        raise ModelError(
            f"{path}: is for the chip '{chip}', this board has {board}; export with --chip {board}"
        )
