"""One case of flywheel.py: a film, a seed, and what some more frames are worth by how they are chosen."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from edgeloop.edge.cli.progress import progress
from edgeloop.edge.doubt.judged_frame import JudgedFrame
from edgeloop.edge.doubt.near_threshold import uncertainty
from edgeloop.edge.frame import Frame
from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.ring.novelty import expected_gain, thumbnail
from edgeloop.edge.ring.ring_database import Ring
from edgeloop.edge.ring.ring_entry import RingEntry, RingModel
from edgeloop.edge.runtime.detector import Detector
from edgeloop.edge.scoring.coco import coco_results, evaluate_boxes, precision_recall
from edgeloop.export.export_options import ExportOptions
from edgeloop.export.exporter import export_bundle
from edgeloop.export.learn.validation import detect
from edgeloop.export.train.load_trained import load_trained
from edgeloop.export.train.run_record import read_record
from edgeloop.export.train.training import train_detector
from edgeloop.export.train_options import TrainOptions
from edgeloop.labeling.mining.mine import MinedRing, mine_ring
from edgeloop.models.weights.digest import file_sha256
from few_shot_scenes import Scene
from flywheel_scenes import Film
from flywheel_teacher import KnownTeacher
from scoring import Coco

DRAWN = 50
"""Frames of the ring's random share, from which the device's recall is estimated."""

CHOICES = ("doubt", "mining", "turn", "random")
ALL = "all"
"""Name of the training with every frame of the stream: the most that any choice can be expected to give."""


_BASE_STEPS, _STEPS, _BATCH = 100, 80, 8
_SCORING_CONFIDENCE = 0.01
_CHECKED = 6  # every sixth frame of the base checks the exported bundle


@dataclass(frozen=True, eq=False)
class Case:
    """Case, whose files are in a folder.

    Attributes:
        film: Its film.
        teacher: Teacher of the film.
        seed: Random seed of trainings and draws.
        added: Numbers of frames to add.
        folder: Folder of its files.
    """

    film: Film
    teacher: KnownTeacher
    seed: int
    added: Sequence[int]
    folder: Path

    def run(self) -> None:
        """Train the base, let the device watch the stream, and add frames; what is done is not repeated."""
        labels = self.teacher.answers.labels
        base = self._train("base", labels, None, _BASE_STEPS)
        self._keep("base", partial(self._score, base))
        bundle = self.folder / "device.onnx"  # its report goes beside it
        if not bundle.is_file():
            check = self._dataset("check", labels, list(labels)[::_CHECKED])
            export_bundle(base, check, bundle, ExportOptions(precision="fp32", overwrite=True))
        judged = cache(lambda: self._watch(Detector(bundle)))
        mined = cache(lambda: self._mine(bundle, judged()))
        self._keep("recall", lambda: self._recall(bundle, judged(), mined()))
        for choice in CHOICES:
            best_first = self._keep(f"{choice}.frames", partial(self._choose, choice, judged, mined))
            for count in self.added:
                self._add(added_name(choice, count), best_first[:count], labels, base)
        self._add(ALL, self.film.stream, labels, base)

    def _add(self, name: str, chosen: Sequence[int], labels: Labels, base: Path) -> None:
        """Train on further frames with their true labels, and score the result."""
        added = {image_id: _true_labels(self.film, image_id) for image_id in chosen}
        run = self._train(name, {**labels, **added}, base, _STEPS)
        self._keep(name, partial(self._score, run))

    def _keep(self, name: str, make: Callable[[], Any]) -> Any:
        """Read a figure that is known, or find it and write it down."""
        path = self.folder / f"{name}.json"
        if not path.is_file():
            made = json.dumps(make())
            path.with_suffix(".part").write_text(made + "\n")
            path.with_suffix(".part").replace(path)
        return json.loads(path.read_text())

    def _dataset(self, name: str, labels: Labels, val: Sequence[int] = ()) -> Path:
        """Write a dataset of labeled images."""
        number = {name: category for category, name in self.film.categories.items()}
        truth: Coco = {
            **self.film.part(labels),
            "annotations": [
                {"image_id": image_id, "category_id": number[name], "bbox": box}
                for image_id, own in labels.items()
                for box, name in own
            ],
        }
        scene = Scene(self.film.name, self.film.images, truth, list(labels), ())
        return scene.write_dataset(self.folder / name / "dataset", val=val)

    def _train(self, name: str, labels: Labels, start: Path | None, steps: int) -> Path:
        """Train on labeled images, warm from an earlier run, and return the run."""
        run = self.folder / name / "run"
        if not run.is_dir():
            record = None if start is None else read_record(start)
            options = TrainOptions(
                weights=None if start is None or record is None else str(start / record.weights_file),
                imgsz=None if record is None else record.imgsz,
                epochs=max(1, round(steps / math.ceil(len(labels) / _BATCH))),
                batch=_BATCH,
                seed=self.seed,
                device="cpu",
            )
            train_detector(self._dataset(name, labels), run, options)
        return run

    def _score(self, run: Path) -> Figures:
        """Score a detector on the part of the film that nobody has seen."""
        record, expected = read_record(run), self.film.part(self.film.test)
        detector, number = load_trained(run, record).module, _numbers(self.film)
        rows: list[dict[str, Any]] = []
        for image_id in progress(self.film.test, "Scoring"):
            found = detect(
                detector, require_image(self.film.path(image_id)), record.imgsz,
                confidence=_SCORING_CONFIDENCE, max_detections=record.max_detections,
            )  # fmt: skip
            rows += _rows(image_id, found, record.names, number)
        scores = evaluate_boxes(expected, rows)
        by_class = {name: round(own.map50, 4) for name, own in scores.per_class.items()}
        return {"map50": round(scores.map50, 4), "seconds": record.seconds, "by_class": by_class}

    def _watch(self, device: Detector) -> list[JudgedFrame]:
        """Let the device watch the stream, and judge each frame as it does."""
        judged = []
        for image_id in progress(self.film.stream, "Watching the stream"):
            image, time_s = require_image(self.film.path(image_id)), self.film.time_s(image_id)
            frame = Frame(image, image_id, 0.0, 0.0, self.film.name, time_s)
            found = device.detect(image)
            doubt = uncertainty(found, device.spec.confidence)
            judged.append(JudgedFrame(Result(frame, found, Timings(0.0, {})), time_s, doubt))
        return judged

    def _mine(self, bundle: Path, judged: Sequence[JudgedFrame]) -> MinedRing:
        """Mine the stream as a ring that kept all of it, of which some frames are its random share."""
        device, stream = Detector(bundle), self.film.stream
        model = RingModel(file_sha256(bundle), tuple(device.names), device.spec.confidence)
        drawn = set(random.Random(self.seed).sample(list(stream), DRAWN))
        entries = [
            RingEntry(
                frame=FrameEntry(
                    self.film.path(own.result.frame.index).name, self.film.name, place, own.time_s
                ),
                share="random" if own.result.frame.index in drawn else "ranked",
                inclusion=DRAWN / len(stream) if own.result.frame.index in drawn else 1.0,
                doubt=own.doubt,
                detections=own.result.detections,
                model=model.digest,
                size=(own.result.frame.image.shape[1], own.result.frame.image.shape[0]),
                bytes=0,
            )
            for place, own in enumerate(judged)
        ]
        ring = Ring(self.film.images.parent, tuple(entries), {model.digest: model})
        return mine_ring(ring, self.teacher, self.teacher.names, seed=self.seed)

    def _recall(self, bundle: Path, judged: Sequence[JudgedFrame], mined: MinedRing) -> Figures:
        """Compare the device's recall as mining estimates it with what it is."""
        device, number = Detector(bundle), _numbers(self.film)
        truth = self.film.part(self.film.stream)
        rows = [
            row
            for own in judged
            for row in _rows(own.result.frame.index, own.result.detections, device.names, number)
        ]
        known = [name for name in number if name in self.teacher.names]
        figure = mined.estimate.whole.recall
        return {
            "value": figure.value,
            "low": figure.low,
            "high": figure.high,
            "truth": precision_recall(truth, rows, categories=known).recall,
            "with_new_classes": precision_recall(truth, rows).recall,
        }

    def _choose(
        self, choice: str, judged: Callable[[], list[JudgedFrame]], mined: Callable[[], MinedRing]
    ) -> list[int]:
        """Choose frames of the stream, best first."""
        if choice == "turn":
            mining, doubt = (self._choose(each, judged, mined) for each in ("mining", "doubt"))
            return list(dict.fromkeys(index for both in zip(mining, doubt, strict=True) for index in both))
        if choice == "mining":
            number = {self.film.path(image_id).name: image_id for image_id in self.film.stream}
            return [number[own.entry.frame.file] for own in mined().ranked(max(self.added))]
        if choice == "doubt":
            return _by_doubt(judged(), max(self.added))
        return random.Random(self.seed + 1000).sample(list(self.film.stream), max(self.added))


def added_name(choice: str, count: int) -> str:
    """Name the training with this many frames of a choice."""
    return f"{choice}-{count}"


Labels = Mapping[int, Sequence[tuple[Sequence[float], str]]]
"""By image id, boxes (xywh, px) with their class names."""

Figures = dict[str, Any]


def _by_doubt(judged: Sequence[JudgedFrame], count: int) -> list[int]:
    """Choose the frames of the largest gain that a device expects, one after the other."""
    left = {own.result.frame.index: (own.doubt, thumbnail(own.result.frame.image)) for own in judged}
    chosen: dict[int, bytes] = {}
    while len(chosen) < count:
        kept = list(chosen.values())
        best = max(left, key=lambda index: expected_gain(*left[index], kept))
        chosen[best] = left.pop(best)[1]
    return list(chosen)


def _true_labels(film: Film, image_id: int) -> list[tuple[list[float], str]]:
    return [(a["bbox"], film.categories[a["category_id"]]) for a in film.part([image_id])["annotations"]]


def _numbers(film: Film) -> dict[str, int]:
    return {name: number for number, name in film.categories.items()}


def _rows(image_id: int, found: Any, names: Sequence[str], number: Mapping[str, int]) -> Iterator[Coco]:
    for row in coco_results(image_id, found):
        yield {**row, "category_id": number[names[row["category_id"]]]}
