"""Answers on a built-in scene against its truth, over the last seconds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgeloop.edge.demo.scene_truth import scene_coco
from edgeloop.edge.result import Result, Sink
from edgeloop.edge.scoring.coco import coco_results, evaluate_boxes
from edgeloop.edge.synth import Scene
from edgeloop.models.detections import Detections

__all__ = ["SceneScore"]

_WINDOW_S = 10.0
_SCORED = 60  # frames of a window, spread evenly
_MOST = 2000  # answers that are remembered


class _Answer(NamedTuple):
    at: float
    scene_index: int
    found: Detections


class SceneScore(Sink):
    """Scores the answers of the last seconds, at the minimum confidence that they were given with."""

    def __init__(self, scene: Scene, names: tuple[str, ...], scene_index: Callable[[int], int]) -> None:
        """Start without an answer.

        Args:
            scene: The scene.
            names: Class names of the answers, each one of the scene's.
            scene_index: Index in the scene of a frame, by its `Frame.index`.
        """
        self._scene, self._scene_index = scene, scene_index
        self._classes = np.array([scene.classes.index(name) for name in names], np.int64)
        self._answers: deque[_Answer] = deque(maxlen=_MOST)

    def write(self, result: Result) -> None:
        """Remember an answer."""
        self._answers.append(
            _Answer(time.monotonic(), self._scene_index(result.frame.index), result.detections)
        )

    def close(self) -> None:
        """Do nothing: the answers can still be scored."""

    def map50(self) -> float | None:
        """Mean average precision at IoU 0.5 over the last seconds; None without an answer or an object."""
        since = time.monotonic() - _WINDOW_S
        recent = [answer for answer in list(self._answers) if answer.at >= since]
        chosen = np.unique(np.linspace(0, len(recent) - 1, min(len(recent), _SCORED)).round().astype(int))
        answers = {recent[row].scene_index: recent[row].found for row in chosen}
        truth = scene_coco(self._scene, [(str(index), index) for index in answers])
        if not truth["annotations"]:
            return None
        rows = [
            {**row, "category_id": int(self._classes[row["category_id"]])}
            for index, found in answers.items()
            for row in coco_results(index, found)
        ]
        return evaluate_boxes(truth, rows).map50
