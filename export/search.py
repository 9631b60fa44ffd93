"""Which way a detector survives quantisation: methods compared, and stages that hurt left in float."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from edge.detector import Detector
from edge.progress import progress_bar
from export.calibrate import METHODS, Frames, Method, Ranges, calibrate
from export.graph import save_graph
from export.parity import LOWEST_CONFIDENCE, disagreement
from export.quantize import to_int8
from export.stages import decoding_nodes, stage_nodes
from models.detections import Detections

__all__ = ["Quantization", "search_int8", "stages_in_float"]

# Disagreement below which nothing needs to be searched: half of what passes the gate.
_GOOD_ENOUGH = 0.02
# What leaving one more stage in float must take off the disagreement to be worth its time at run time.
_WORTH = 0.1


@dataclass(frozen=True)
class Quantization:
    """How a detector was quantised, and why so. Disagreements are with float32, on the tuning frames.

    Attributes:
        method: Of calibration, the best one.
        methods: Disagreement of each method, decoding in float and all else quantised.
        stages: Disagreement with this stage left in float as well, for each stage; empty where it was small
            enough without.
        in_float: Stages that stay in float, the worst first.
        decoding: How many nodes of box decoding stay in float in any case.
        disagreement: Of the result.
        calibration_frames: Frames that ranges were measured on.
        tuning_frames: Frames that all this was compared on.
    """

    method: Method
    methods: Mapping[Method, float]
    stages: Mapping[str, float]
    in_float: tuple[str, ...]
    decoding: int
    disagreement: float
    calibration_frames: int
    tuning_frames: int


def search_int8(
    model: onnx.ModelProto, bundle: Detector, frames: Frames
) -> tuple[onnx.ModelProto, Quantization]:
    """Quantise a detector as well as it goes.

    Args:
        model: The float32 graph, input form "tensor".
        bundle: The same, opened with `LOWEST_CONFIDENCE`.
        frames: To calibrate on and to compare on.

    Returns:
        The quantised graph, and how it came about.

    Raises:
        ModelError: A quantised graph does not run.
    """
    with TemporaryDirectory() as folder:
        trials = _Trials(model, bundle, frames, Path(folder) / "trial.onnx")
        all_ranges = {method: calibrate(bundle, frames.calibration, method) for method in METHODS}
        methods = {method: trials.run(ranges, ()) for method, ranges in all_ranges.items()}
        method = min(METHODS, key=lambda each: methods[each])
        ranges = all_ranges[method]
        stages, in_float, best = stages_in_float(
            lambda tried: trials.run(ranges, tried), tuple(trials.stages), methods[method]
        )
        quantised = to_int8(model, ranges, trials.nodes(in_float))
    return quantised, Quantization(
        method=method,
        methods=methods,
        stages=stages,
        in_float=in_float,
        decoding=len(trials.decoding),
        disagreement=best,
        calibration_frames=len(frames.calibration),
        tuning_frames=len(frames.tuning),
    )


def stages_in_float(
    trial: Callable[[tuple[str, ...]], float], stages: Sequence[str], disagreement: float
) -> tuple[dict[str, float], tuple[str, ...], float]:
    """Find the stages that quantisation must leave alone: each by itself, then those that hurt most together.

    Args:
        trial: Quantises with these stages in float and returns the disagreement with float32.
        stages: All that there are.
        disagreement: Without any of them in float.

    Returns:
        Disagreement with each stage alone in float, none where the given one is small enough; the stages to
        leave in float, the worst first; disagreement with these.
    """
    if disagreement <= _GOOD_ENOUGH:
        return {}, (), disagreement
    alone = {}
    with progress_bar(len(stages), "Stages") as advance:
        for stage in stages:
            alone[stage] = trial((stage,))
            advance(1)
    in_float: tuple[str, ...] = ()
    best = disagreement
    for stage in sorted(alone, key=lambda each: alone[each]):
        if best <= _GOOD_ENOUGH or alone[stage] > (1 - _WORTH) * disagreement:
            break
        left = trial((*in_float, stage)) if in_float else alone[stage]
        if left <= (1 - _WORTH) * best:
            in_float, best = (*in_float, stage), left
    return alone, in_float, best


class _Trials:
    """Quantises in one way after the other and compares with float32.

    Attributes:
        stages: Names of nodes by stage.
        decoding: Names of nodes that are never quantised.
    """

    def __init__(self, model: onnx.ModelProto, bundle: Detector, frames: Frames, path: Path) -> None:
        self.stages = stage_nodes(model.graph)
        self.decoding = decoding_nodes(model.graph)
        self._model, self._bundle, self._frames, self._path = model, bundle, frames, path
        self._expected = self._detect(bundle)

    def nodes(self, in_float: Sequence[str]) -> list[str]:
        """Nodes that stay in float when these stages do."""
        return [*self.decoding, *(node for stage in in_float for node in self.stages[stage])]

    def run(self, ranges: Ranges, in_float: Sequence[str]) -> float:
        """Disagreement with float32 where these stages stay in float."""
        quantised = to_int8(self._model, ranges, self.nodes(in_float))
        save_graph(quantised, self._bundle.spec.to_metadata(), self._path)
        trial = Detector(self._path, provider="cpu", confidence=LOWEST_CONFIDENCE)
        return disagreement(self._expected, self._detect(trial))

    def _detect(self, detector: Detector) -> list[Detections]:
        return [detector.detect(image) for image in self._frames.tuning]
