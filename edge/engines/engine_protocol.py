"""Protocol of an inference engine: open a file, describe inputs and outputs, run, and say where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgeloop.edge.engines.placement import Placement
    from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["Engine"]


class Engine(Protocol):
    """Loaded model. Preprocessing, decoding, tracking, `bench` and `doctor` are the same for every engine.

    `run` may be called from several threads at a time.
    """

    @property
    def path(self) -> Path:
        """Path of the model file."""
        ...

    @property
    def placement(self) -> Placement:
        """Engine and device that run the model, and the share of it that runs there."""
        ...

    @property
    def threads(self) -> int:
        """CPU threads of one inference; 0 if the engine chooses."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """Metadata of the model, with the keys of an ONNX bundle."""
        ...

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """Inputs of `run`, in order."""
        ...

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """Outputs of `run`, in order; four axes are always NCHW."""
        ...

    def run(self, *tensors: NDArray[np.generic]) -> list[NDArray[np.floating]]:
        """Run the model once.

        Args:
            tensors: Inputs in order, with the shapes and dtypes of `inputs`.

        Returns:
            Outputs in order. They stay valid after the next call.

        Raises:
            ModelError: Inference fails.
        """
        ...

    def close(self) -> None:
        """Free the model."""
        ...
