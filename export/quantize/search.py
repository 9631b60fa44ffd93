"""Which way a detector survives quantisation: methods compared, and stages that hurt left in float."""

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
from edgeloop.export.graph.ort_layout import channels_last
from edgeloop.export.graph.stages import decoding_nodes, stage_nodes
from edgeloop.export.graph.to_onnx import save_graph
from edgeloop.export.quantize.activation_ranges import METHODS, Frames, Method, Ranges, calibrate
from edgeloop.export.quantize.convert import to_int8
from edgeloop.models.detections import Detections

__all__ = ["Choice", "Quantization", "quickest", "search_int8", "stages_in_float"]

# Disagreement below which nothing needs to be searched: half of what passes the gate.
_GOOD_ENOUGH = 0.02
# What leaving one more stage in float must take off the disagreement, or more where it costs more time.
_WORTH = 0.1
# How many of the first stages are tried in float whether 8 bits hurt them or not.
_FIRST = 3
_ROUNDS, _PER_ROUND = 7, 4  # of timing


@dataclass(frozen=True)
class Choice:
    """One way to begin a quantised detector.

    Attributes:
        first: Stages at the beginning that are in float besides those that 8 bits hurt.
        disagreement: With float32, on the tuning frames.
        processor_ms: Time of all threads for one inference, which bears a busy machine better than the clock.
    """

    first: tuple[str, ...]
    disagreement: float
    processor_ms: float


@dataclass(frozen=True)
class Quantization:
    """How a detector was quantised, and why so. Disagreements are with float32, on the tuning frames.

    Attributes:
        method: Of calibration, the best one.
        methods: Disagreement of each method, decoding in float and all else quantised.
        stages: Disagreement with this stage left in float as well, for each stage; empty where it was small
            enough without.
        in_float: Stages that stay in float because 8 bits hurt them, the worst first.
        begins: What was tried to begin with, on this machine; empty where the bundle is for another kind.
        first: Stages at the beginning that stay in float because that is quicker.
        decoding: How many nodes of box decoding stay in float in any case.
        disagreement: Of the result.
        calibration_frames: Frames that ranges were measured on.
        tuning_frames: Frames that all this was compared on.
    """

    method: Method
    methods: Mapping[Method, float]
    stages: Mapping[str, float]
    in_float: tuple[str, ...]
    begins: tuple[Choice, ...]
    first: tuple[str, ...]
    decoding: int
    disagreement: float
    calibration_frames: int
    tuning_frames: int


def search_int8(
    model: onnx.ModelProto, bundle: Detector, frames: Frames, *, for_cpu: bool
) -> tuple[onnx.ModelProto, Quantization]:
    """Quantise a detector as well as it goes.

    Args:
        model: The float32 graph, input form "tensor".
        bundle: The same, opened with `LOWEST_CONFIDENCE`.
        frames: To calibrate on and to compare on.
        for_cpu: Whether a CPU like this one will run it, rewritten by `channels_last`: then time counts too.

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
            lambda tried: trials.run(ranges, tried),
            tuple(trials.stages),
            methods[method],
            cost=(lambda *tried: trials.cost(ranges, *tried)) if for_cpu else lambda *_: 0.0,
        )
        begins = trials.begin(ranges, in_float, best) if for_cpu else ()
        chosen = quickest(begins, best) if for_cpu else Choice((), best, 0.0)
        quantised = to_int8(model, ranges, trials.nodes((*in_float, *chosen.first)))
    return quantised, Quantization(
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
    """Find the stages that quantisation must leave alone: each by itself, then those that hurt most together.

    Args:
        trial: Quantises with these stages in float and returns the disagreement with float32.
        stages: All that there are.
        disagreement: Without any of them in float.
        cost: Share of its time that a detector with the first stages in float takes longer with the second.

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
        more = (*in_float, stage)
        left = trial(more) if in_float else alone[stage]
        gain = 1 - left / best
        if gain >= _WORTH and gain >= cost(in_float, more):
            in_float, best = more, left
    return alone, in_float, best


def quickest(begins: Sequence[Choice], disagreement: float) -> Choice:
    """Choose how a quantised detector begins.

    Args:
        begins: What was tried.
        disagreement: What the search for stages that hurt left.

    Returns:
        The quickest of those that are no worse, but for what would not be worth a stage in float.
    """
    bearable = max(_GOOD_ENOUGH, (1 + _WORTH) * disagreement)
    return min((each for each in begins if each.disagreement <= bearable), key=lambda each: each.processor_ms)


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
        trial = self._open(to_int8(self._model, ranges, self.nodes(in_float)))
        return disagreement(self._expected, self._detect(trial))

    def cost(self, ranges: Ranges, some: Sequence[str], more: Sequence[str]) -> float:
        """Share of its time that the detector takes longer with more stages in float."""
        before_ms, after_ms = self._processor_ms(ranges, [some, more])
        return after_ms / before_ms - 1

    def begin(self, ranges: Ranges, in_float: Sequence[str], without: float) -> tuple[Choice, ...]:
        """Try the detector with none, one and more of its first stages in float besides.

        They compute few channels at full size, where 8 bits gain least; and a stage in float behind one that
        is quantised pays for two conversions of tensors of that size.
        `without` is the disagreement with none of them.
        """
        leading = [list(self.stages)[:count] for count in range(_FIRST + 1)]
        tried = list(
            dict.fromkeys(tuple(stage for stage in stages if stage not in in_float) for stages in leading)
        )
        apart = [self.run(ranges, (*in_float, *first)) if first else without for first in tried]
        times_ms = self._processor_ms(ranges, [(*in_float, *first) for first in tried])
        return tuple(Choice(*row) for row in zip(tried, apart, times_ms, strict=True))

    def _processor_ms(self, ranges: Ranges, tried: Sequence[Sequence[str]]) -> list[float]:
        """Median time of all threads for one inference with these stages in float, measured in turns."""
        trials = [
            self._open(channels_last(to_int8(self._model, ranges, self.nodes(in_float))))
            for in_float in tried
        ]
        prepared = self._bundle.preprocess(self._frames.tuning[0])
        times_ms: list[list[float]] = [[] for _ in trials]
        for _ in range(_ROUNDS):
            for trial, times in zip(trials, times_ms, strict=True):
                trial.infer(prepared)  # the one before has taken the caches
                began = time.process_time()
                for _ in range(_PER_ROUND):
                    trial.infer(prepared)
                times.append((time.process_time() - began) * 1e3 / _PER_ROUND)
        return [statistics.median(times) for times in times_ms]

    def _open(self, quantised: onnx.ModelProto) -> Detector:
        save_graph(quantised, self._bundle.spec.to_metadata(), self._path)
        return Detector(self._path, provider="cpu", confidence=LOWEST_CONFIDENCE)

    def _detect(self, detector: Detector) -> list[Detections]:
        return [detector.detect(image) for image in self._frames.tuning]
