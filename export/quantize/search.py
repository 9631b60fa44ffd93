"""Mixed-precision search: choose the calibration method and the stages that stay in float."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from edgeloop.edge.cli.progress import progress_bar
from edgeloop.edge.runtime.detector import Detector
from edgeloop.export.check.parity import LOWEST_CONFIDENCE, disagreement
from edgeloop.export.graph.graph_io import save_graph
from edgeloop.export.graph.ort_layout import channels_last
from edgeloop.export.graph.stages import decoding_nodes, stage_nodes
from edgeloop.export.quantize.activation_ranges import METHODS, Frames, Method, Ranges, calibrate
from edgeloop.export.quantize.convert import to_int8
from edgeloop.models.detections import Detections

__all__ = ["FloatPrefix", "Quantization", "fastest_prefix", "search_int8", "stages_in_float"]

# Disagreement below which no search is needed: half of what passes the gate.
_GOOD_ENOUGH = 0.02
# Minimum relative gain for leaving one more stage in float; more if the stage costs more time.
_MIN_GAIN = 0.1
# Number of leading stages that are tried in float for speed.
_LEADING = 3
_ROUNDS, _PER_ROUND = 7, 4  # of timing


@dataclass(frozen=True)
class FloatPrefix:
    """Leading stages left in float for speed, and the result.

    Attributes:
        first: The leading stages, without those that stay in float for accuracy.
        disagreement: Disagreement with float32 on the tuning frames.
        processor_ms: CPU time of all threads for one inference, ms; less sensitive to load than wall time.
    """

    first: tuple[str, ...]
    disagreement: float
    processor_ms: float


@dataclass(frozen=True)
class Quantization:
    """Result of the search. Disagreements are with float32, on the tuning frames.

    Attributes:
        method: The best calibration method.
        methods: Disagreement of each method, decoding in float and all else quantized.
        stages: Disagreement with this stage left in float as well, for each stage; empty if none was needed.
        in_float: Stages that stay in float for accuracy, the most sensitive first.
        begins: Leading stages tried in float on this machine; empty if the bundle is for another one.
        first: Leading stages that stay in float for speed.
        decoding: Number of box decoding nodes, which always stay in float.
        disagreement: Disagreement of the quantized detector.
        calibration_frames: Number of frames that ranges were measured on.
        tuning_frames: Number of frames that detectors were compared on.
    """

    method: Method
    methods: Mapping[Method, float]
    stages: Mapping[str, float]
    in_float: tuple[str, ...]
    begins: tuple[FloatPrefix, ...]
    first: tuple[str, ...]
    decoding: int
    disagreement: float
    calibration_frames: int
    tuning_frames: int


def search_int8(
    model: onnx.ModelProto, bundle: Detector, frames: Frames, *, for_cpu: bool
) -> tuple[onnx.ModelProto, Quantization]:
    """Quantize a detector with the smallest disagreement that the search finds.

    Args:
        model: The float32 graph, input format "tensor".
        bundle: The same graph, opened with `LOWEST_CONFIDENCE`.
        frames: Frames to calibrate and to compare on.
        for_cpu: A CPU like this one will run it, rewritten by `channels_last`: time counts too.

    Raises:
        ModelError: A quantized graph does not run.
    """
    with TemporaryDirectory() as folder:
        trials = _Trials(model, bundle, frames, Path(folder) / "trial.onnx")
        all_ranges = {method: calibrate(bundle, frames.calibration, method) for method in METHODS}
        methods = {method: trials.run(ranges, ()) for method, ranges in all_ranges.items()}
        method = min(METHODS, key=lambda each: methods[each])
        ranges = all_ranges[method]
        stages, in_float, best = stages_in_float(
            lambda tried: trials.run(ranges, tried),
            tuple(trials.stages),
            methods[method],
            cost=(lambda *tried: trials.cost(ranges, *tried)) if for_cpu else lambda *_: 0.0,
        )
        begins = trials.prefixes(ranges, in_float, best) if for_cpu else ()
        chosen = fastest_prefix(begins, best) if for_cpu else FloatPrefix((), best, 0.0)
        quantized = to_int8(model, ranges, trials.nodes((*in_float, *chosen.first)))
    return quantized, Quantization(
        method=method,
        methods=methods,
        stages=stages,
        in_float=in_float,
        begins=begins,
        first=chosen.first,
        decoding=len(trials.decoding),
        disagreement=chosen.disagreement,
        calibration_frames=len(frames.calibration),
        tuning_frames=len(frames.tuning),
    )


def stages_in_float(
    trial: Callable[[tuple[str, ...]], float],
    stages: Sequence[str],
    disagreement: float,
    *,
    cost: Callable[[tuple[str, ...], tuple[str, ...]], float],
) -> tuple[dict[str, float], tuple[str, ...], float]:
    """Choose the stages to leave in float: try each alone, then add the most sensitive ones greedily.

    Args:
        trial: Quantizes with these stages in float and returns the disagreement with float32.
        stages: All stages.
        disagreement: Disagreement with all of them quantized.
        cost: Relative increase in time from the first stages in float to the second.

    Returns:
        Disagreement with each stage alone in float, empty if the given one is small enough; the stages to
        leave in float, the most sensitive first; disagreement with these.
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
        if best <= _GOOD_ENOUGH or alone[stage] > (1 - _MIN_GAIN) * disagreement:
            break
        more = (*in_float, stage)
        left = trial(more) if in_float else alone[stage]
        gain = 1 - left / best
        if gain >= _MIN_GAIN and gain >= cost(in_float, more):
            in_float, best = more, left
    return alone, in_float, best


def fastest_prefix(prefixes: Sequence[FloatPrefix], disagreement: float) -> FloatPrefix:
    """Choose the fastest prefix that hardly raises the disagreement, given without a prefix."""
    limit = max(_GOOD_ENOUGH, (1 + _MIN_GAIN) * disagreement)
    return min((each for each in prefixes if each.disagreement <= limit), key=lambda each: each.processor_ms)


class _Trials:
    """Quantized variants of a detector, compared with float32.

    Attributes:
        stages: Names of nodes by stage.
        decoding: Names of the nodes that are never quantized.
    """

    def __init__(self, model: onnx.ModelProto, bundle: Detector, frames: Frames, path: Path) -> None:
        self.stages = stage_nodes(model.graph)
        self.decoding = decoding_nodes(model.graph)
        self._model, self._bundle, self._frames, self._path = model, bundle, frames, path
        self._expected = self._detect(bundle)

    def nodes(self, in_float: Sequence[str]) -> list[str]:
        """Names of the nodes that stay in float if these stages do."""
        return [*self.decoding, *(node for stage in in_float for node in self.stages[stage])]

    def run(self, ranges: Ranges, in_float: Sequence[str]) -> float:
        """Disagreement with float32 if these stages stay in float."""
        return self._disagreement(self._quantized(ranges, in_float))

    def cost(self, ranges: Ranges, some: Sequence[str], more: Sequence[str]) -> float:
        """Relative increase in time with more stages in float."""
        before_ms, after_ms = self._processor_ms([self._quantized(ranges, each) for each in (some, more)])
        return after_ms / before_ms - 1

    def prefixes(self, ranges: Ranges, in_float: Sequence[str], without: float) -> tuple[FloatPrefix, ...]:
        """Try the detector with none, one and more of its leading stages in float as well.

        They compute few channels at full resolution, where 8 bits gain least, and a stage in float behind a
        quantized one pays for two conversions of such tensors.
        `without` is the disagreement with none of them.
        """
        leading = [list(self.stages)[:count] for count in range(_LEADING + 1)]
        tried = list(
            dict.fromkeys(tuple(stage for stage in stages if stage not in in_float) for stages in leading)
        )
        graphs = [self._quantized(ranges, (*in_float, *first)) for first in tried]
        apart = [
            self._disagreement(graph) if first else without
            for first, graph in zip(tried, graphs, strict=True)
        ]
        times_ms = self._processor_ms(graphs)
        return tuple(FloatPrefix(*row) for row in zip(tried, apart, times_ms, strict=True))

    def _quantized(self, ranges: Ranges, in_float: Sequence[str]) -> onnx.ModelProto:
        return to_int8(self._model, ranges, self.nodes(in_float))

    def _disagreement(self, quantized: onnx.ModelProto) -> float:
        """Disagreement of a quantized graph with float32."""
        return disagreement(self._expected, self._detect(self._open(quantized)))

    def _processor_ms(self, graphs: Sequence[onnx.ModelProto]) -> list[float]:
        """Median CPU time of one inference, ms, of each quantized graph, timed round robin."""
        trials = [self._open(channels_last(graph)) for graph in graphs]
        prepared = self._bundle.preprocess(self._frames.tuning[0])
        times_ms: list[list[float]] = [[] for _ in trials]
        for _ in range(_ROUNDS):
            for trial, times in zip(trials, times_ms, strict=True):
                trial.infer(prepared)  # warm the caches again
                began = time.process_time()
                for _ in range(_PER_ROUND):
                    trial.infer(prepared)
                times.append((time.process_time() - began) * 1e3 / _PER_ROUND)
        return [statistics.median(times) for times in times_ms]

    def _open(self, quantized: onnx.ModelProto) -> Detector:
        save_graph(quantized, self._bundle.spec.to_metadata(), self._path)
        return Detector(self._path, provider="cpu", confidence=LOWEST_CONFIDENCE)

    def _detect(self, detector: Detector) -> list[Detections]:
        return [detector.detect(image) for image in self._frames.tuning]
