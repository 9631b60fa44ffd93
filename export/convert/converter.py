"""Protocol of a converter, and what goes in and comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeloop.edge.engines.engine_protocol import Engine
from edgeloop.edge.engines.facts_file import TensorFacts
from edgeloop.export.check.parity import BundlePrecision
from edgeloop.models.heads import Head
from edgeloop.models.spec import ModelSpec

__all__ = ["Attempt", "Converted", "Converter", "FailedAttempt", "Source"]


@dataclass(frozen=True)
class Attempt:
    """One way to convert a detector.

    Attributes:
        name: Words for the report, such as "head on the host".
        precision: Precision of the weights.
        raw_head: True if the graph ends at the last convolutions, and the host decodes.
        settings: Settings of the converter.
    """

    name: str
    precision: BundlePrecision
    raw_head: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FailedAttempt:
    """Attempt without figures: the maker's tool or engine failed.

    Attributes:
        attempt: The attempt.
        reason: Last words of the tool, one line.
    """

    attempt: Attempt
    reason: str

    def __str__(self) -> str:
        return f"{self.attempt.precision}, {self.attempt.name}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Source:
    """Detector to convert.

    Attributes:
        graph: Float32 graph that takes (1, 3, H, W) RGB in [0, 1], decoded or with a raw head.
        spec: Its spec.
        frames: Frames of the training part to calibrate on, (N, H, W, 3) uint8 RGB, letterboxed to the input;
            N is 0 for a precision that needs none.
        folder: Empty folder for the result and for files that are in between.
        chip: Chip to convert for; "" if the target has no choice.
    """

    graph: onnx.ModelProto
    spec: ModelSpec
    frames: NDArray[np.uint8]
    folder: Path
    chip: str = ""


@dataclass(frozen=True)
class Converted:
    """File of an engine.

    Attributes:
        path: The file, within the folder of the source.
        spec: Spec of the file, with the input as the engine takes it.
        inputs: Inputs as the engine takes them, in order.
        outputs: Outputs as the engine returns them, in the order of the graph; four axes are NCHW.
        options: What the engine must know besides.
        versions: Versions of the tools, by name.
        simulator: The model in the maker's simulator, where this machine cannot run the file; the caller
            closes it. None to open the file.
    """

    path: Path
    spec: ModelSpec
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    simulator: Engine | None = None


class Converter(Protocol):
    """Converter to the files of one engine."""

    def check_tools(self) -> None:
        """Refuse what cannot be done before any work.

        Raises:
            UnavailableError: The maker's tools are not installed; the message says how to install them.
        """
        ...

    def attempts(self, precision: BundlePrecision, head: Head, /) -> tuple[Attempt, ...]:
        """List the ways to reach a precision with a head; the first whose file passes the gate is shipped."""
        ...

    def convert(self, source: Source, attempt: Attempt) -> Converted:
        """Convert a detector.

        Raises:
            UnavailableError: The maker's tools are not installed; the message says how to install them.
            ModelError: The tools refuse the graph or crash: the attempt failed, and the next one is tried.
                So it is with whatever a tool raises that runs in this process.
        """
        ...
