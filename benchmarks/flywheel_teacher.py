"""Teacher of a film in flywheel.py: the labeling engine, learned once from five drawn images."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.cli.progress import progress, progress_bar
from edgeloop.edge.host.opencv import require_image
from edgeloop.labeling.engine.calibration import Calibration
from edgeloop.labeling.engine.coverage import Coverage
from edgeloop.labeling.engine.engine import LearnedEngine, learn_engine
from edgeloop.labeling.inputs.exemplars import Exemplars, read_exemplars
from edgeloop.labeling.labeler import DetectorLabeler
from edgeloop.labeling.sam import load
from edgeloop.models.boxes import xyxy_to_xywh
from edgeloop.models.detections import Detections
from flywheel_scenes import Film
from scoring import Coco

CONFIDENCE = 0.5
"""Minimum score of the teacher's labels, the default of `edgeloop label`."""

_SEED = 0


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of the teacher on the images of a film.

    Attributes:
        found: Detections in the images of the stream, scores as probabilities, by digest of the pixels.
        labels: Labels of the base by image id: box, xywh in px, and class name.
    """

    found: dict[str, Detections]
    labels: dict[int, list[tuple[list[float], str]]]


@dataclass(frozen=True, eq=False)
class KnownTeacher:
    """Engine of `edgeloop label` whose answers are known, so that every case of a film has the same ones.

    Attributes:
        names: Class names by class number.
        calibration, coverage: As of `Engine`.
        answers: Its answers.
    """

    names: tuple[str, ...]
    calibration: Calibration
    coverage: Coverage | None
    answers: Answers

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Detect objects in an image of the stream, as `Engine.detect` does."""
        return self.answers.found[_digest(image)]


def teach(film: Film, folder: Path) -> KnownTeacher:
    """Learn from the drawn images of a film, and answer on its base and its stream, unless that is done."""
    folder.mkdir(parents=True, exist_ok=True)
    boxes = folder / "exemplars.json"
    boxes.write_text(json.dumps(film.part(film.drawn)))
    exemplars = read_exemplars(boxes, film.images)
    learned: LearnedEngine = _kept(folder / "engine.pickle", lambda: _learn(exemplars, folder))
    answers: Answers = _kept(folder / "answers.pickle", lambda: _answer(film, exemplars.names, learned))
    return KnownTeacher(exemplars.names, learned.calibration, learned.coverage, answers)


def _kept(path: Path, make: Callable[[], Any]) -> Any:
    """Read what is in a file, or make it and write it there."""
    if not path.is_file():
        path.with_suffix(".part").write_bytes(pickle.dumps(make()))
        path.with_suffix(".part").replace(path)
    return pickle.loads(path.read_bytes())


def _learn(exemplars: Exemplars, folder: Path) -> LearnedEngine:
    return learn_engine(
        exemplars, load("nano"), folder / "engine", confidence=CONFIDENCE, weights=None, device="cpu",
        seed=_SEED, progress=progress_bar,
    )  # fmt: skip


def _answer(film: Film, names: Sequence[str], learned: LearnedEngine) -> Answers:
    engine = learned.open("cpu")
    labeler = DetectorLabeler(engine, load("nano"), CONFIDENCE)
    labels = {image_id: _drawn_boxes(film, image_id) for image_id in film.drawn}
    for image_id in progress([i for i in film.base if i not in labels], "Labeling the base"):
        ((sure, _),) = labeler.label([require_image(film.path(image_id))])
        labels[image_id] = [
            (xyxy_to_xywh(np.array([label.xyxy], np.float32))[0].tolist(), names[label.class_id])
            for label in sure
        ]
    found = {}
    for image_id in progress(film.stream, "Looking at the stream"):
        image = require_image(film.path(image_id))
        found[_digest(image)] = engine.detect(image)
    return Answers(found, labels)


def _drawn_boxes(film: Film, image_id: int) -> list[tuple[list[float], str]]:
    truth: Coco = film.part([image_id])
    return [(a["bbox"], film.categories[a["category_id"]]) for a in truth["annotations"]]


def _digest(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()
