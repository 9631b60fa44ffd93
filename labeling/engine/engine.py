"""Engine of a labeling job: learn from the exemplar frames, find objects in others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.find import find_candidates
from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.engine.calibration import Calibration, HeldOut, fit_calibration, match
from edgeloop.labeling.engine.coverage import Coverage, measure_coverage
from edgeloop.labeling.engine.ensemble import Ensemble, write_ensemble
from edgeloop.labeling.engine.int8_ensemble import fastest_graph
from edgeloop.labeling.engine.members import held_out_by, train_members
from edgeloop.labeling.engine.promise import Promise, estimate_quality
from edgeloop.labeling.inputs.exemplars import Exemplars
from edgeloop.labeling.sam import Device, Segmenter
from edgeloop.labeling.step_progress import Progress
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections

__all__ = ["Engine", "LearnedEngine", "learn_engine"]

_SAME_OBJECT_IOU = 0.7  # of two boxes of different classes
_MASK_WEIGHT = 0.5
_RANGE_FRAMES = 8  # to measure the ranges of activations on
_LEAST_MATCHES, _LEAST_GAIN = 10, 0.01  # held-out objects, and mean gain in IoU, for masks to move boxes


@dataclass(frozen=True, slots=True)
class Engine:
    """Detectors of one job.

    Attributes:
        ensemble: Finds objects.
        calibration: Turns its scores into probabilities.
        mask_weight: Share by which a box is moved toward that of SAM's mask.
        promise: Expected quality of the labels; None if the exemplar frames do not tell.
        coverage: Share of the objects that it has any box for; None if the exemplar frames do not tell.
    """

    ensemble: Ensemble
    calibration: Calibration
    mask_weight: float
    promise: Promise | None
    coverage: Coverage | None = None

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Detect objects in an image, HxWx3 uint8 BGR; their scores are probabilities, in falling order."""
        found = self.ensemble.detect(image)
        probability = _exclusive(found, self.calibration(found.confidence))
        order = np.argsort(-probability, kind="stable")
        return Detections(found.xyxy, probability, found.class_id)[order]


@dataclass(frozen=True, slots=True)
class LearnedEngine:
    """Learned engine of a job; pickles, for workers that open it.

    Attributes:
        graph: Ensemble as `write_ensemble` writes it.
        side: Long side to resize images to, px.
        calibration: As of `Engine`.
        mask_weight: As of `Engine`.
        promise: As of `Engine`.
        coverage: As of `Engine`.
    """

    graph: Path
    side: int
    calibration: Calibration
    mask_weight: float
    promise: Promise | None
    coverage: Coverage | None = None

    def open(self, device: Device, graph: Path | None = None, *, threads: int | None = None) -> Engine:
        """Load the detectors, from a copy of the graph if one is named, on a number of CPU threads."""
        ensemble = Ensemble(self.graph if graph is None else graph, self.side, device, threads=threads)
        return Engine(ensemble, self.calibration, self.mask_weight, self.promise, self.coverage)


def learn_engine(
    exemplars: Exemplars,
    segmenter: Segmenter,
    folder: Path,
    *,
    confidence: float,
    weights: str | None,
    device: Device,
    seed: int,
    progress: Progress,
    pasted: int = 60,
) -> LearnedEngine:
    """Train the ensemble and calibrate it on the frames that each member has not seen.

    Args:
        exemplars: Frames with boxes.
        segmenter: Draws the masks along which objects are pasted.
        folder: Keeps finished members, so that an interrupted job does not train them again.
        confidence: Minimum label score, for the promise.
        weights: Start weights, as of `edgeloop train --weights`.
        device: Processor to train and detect on.
        seed: Random seed.
        progress: Shows the steps.
        pasted: As of `train_members`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    members, side = train_members(
        exemplars,
        segmenter,
        folder,
        weights=weights,
        device=device,
        seed=seed,
        progress=progress,
        pasted=pasted,
    )
    graph = folder / "ensemble.onnx"
    if not graph.is_file():  # a resumed job keeps the form that it began with
        chosen = folder / "ensemble-float32.onnx"
        write_ensemble(members, chosen)
        if device == "cpu":
            some = exemplars.frames[:: -(-len(exemplars.frames) // _RANGE_FRAMES)]
            chosen = fastest_graph(chosen, side, [frame.image() for frame in some])
        chosen.replace(graph)
    ensemble = Ensemble(graph, side, device)
    if len(members) == 1:  # it has seen the only frame
        return LearnedEngine(graph, side, Calibration(0.0), 0.0, None)
    held_out = [
        HeldOut(frame, ensemble.detect(frame.image(), member))
        for frame, member in zip(exemplars.frames, held_out_by(len(exemplars.frames)), strict=True)
    ]
    calibration = fit_calibration(held_out)
    promise = estimate_quality(held_out, exemplars.names, calibration, confidence=confidence, seed=seed)
    coverage = measure_coverage(held_out, exemplars.names, calibration)
    return LearnedEngine(graph, side, calibration, _mask_weight(held_out, segmenter), promise, coverage)


def _exclusive(found: Detections, probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Limit the probabilities of boxes of several classes on one object to a sum of about 1."""
    rank = np.argsort(np.argsort(-probability, kind="stable"))
    rival = iou_matrix(found.xyxy, found.xyxy) >= _SAME_OBJECT_IOU
    rival &= (found.class_id[:, None] != found.class_id) & (rank[:, None] > rank)
    best = np.where(rival, probability, np.float32(0)).max(axis=1, initial=0)
    return np.asarray(np.minimum(probability, 1 - best), np.float32)


def _mask_weight(held_out: Sequence[HeldOut], segmenter: Segmenter) -> float:
    """Choose the weight of masks by whether boxes come closer to those that the person drew."""
    gains: list[float] = []
    for one in held_out:
        rows = match(one)
        found, drawn = one.found.xyxy[rows >= 0], one.frame.xyxy[rows[rows >= 0]]
        prompts = [Prompts("detector", found)]
        segmented = find_candidates(one.frame.image(), prompts, segmenter) if len(found) else []
        for box, candidate, truth in zip(found, segmented, drawn, strict=True):
            moved = box + np.float32(_MASK_WEIGHT) * (candidate.xyxy - box)
            before, after = iou_matrix(np.stack((box, moved)), truth[None])[:, 0].tolist()
            gains.append(after - before)
    helps = len(gains) >= _LEAST_MATCHES and float(np.mean(gains)) >= _LEAST_GAIN
    return _MASK_WEIGHT if helps else 0.0
