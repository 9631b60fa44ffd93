"""Prompts from a detector that was trained on the labels of a first pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.runtime.detector import Detector
from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.models.boxes import iou_matrix, nms
from edgeloop.models.errors import DataError
from edgeloop.models.weights.digest import file_sha256

__all__ = ["DetectorPrompter"]

_LEAST_CONFIDENCE = 0.05
_LEAST_HELD_OUT = 0.001  # on the exemplar frames, to see more of what is mistaken for an object
_SAME_IOU = 0.6  # boxes of one thing, under one class or several
_MOST_PROMPTS = 100


class DetectorPrompter:
    """Boxes of a detector, with its confidence as their score."""

    name = "detector"

    def __init__(self, bundle: Path, names: Sequence[str]) -> None:
        """Open a bundle.

        Args:
            bundle: As `edgeloop export` writes it, or any other ONNX file that `edgeloop run` takes as it is.
            names: The classes to label.

        Raises:
            NoInputError: There is no such file.
            ModelError: It is no detector, or is damaged.
            DataError: It knows other classes.
        """
        self._detector = Detector(bundle, provider="cpu", confidence=_LEAST_HELD_OUT)
        known = self._detector.names
        if sorted(known) != sorted(names):
            raise DataError(
                f"{bundle}: finds {', '.join(known)}, but the exemplars show {', '.join(names)}; expected a "
                "detector that was trained on labels of these exemplars"
            )
        self._class_ids = np.array([names.index(name) for name in known])
        self.digest = file_sha256(bundle)

    def propose(self, image: NDArray[np.uint8]) -> tuple[Prompts, ...]:
        """See `Prompter.propose`."""
        return (self._ask(image, _LEAST_CONFIDENCE),)

    def propose_held_out(self, image: NDArray[np.uint8], frame: int) -> tuple[Prompts, ...]:
        """See `Prompter.propose_held_out`. The detector has most likely been trained on that frame."""
        del frame
        return (self._ask(image, _LEAST_HELD_OUT),)

    def _ask(self, image: NDArray[np.uint8], least: float) -> Prompts:
        found = self._detector.detect(image)
        found = found[found.confidence >= least]
        scores = np.zeros((len(found), len(self._class_ids)), np.float32)
        scores[np.arange(len(found)), self._class_ids[found.class_id]] = found.confidence
        same = iou_matrix(found.xyxy, found.xyxy) >= _SAME_IOU
        joint = np.where(same[:, :, None], scores[None], 0).max(axis=1, initial=0)
        kept = nms(found.xyxy, found.confidence, None, _SAME_IOU, limit=_MOST_PROMPTS)
        return Prompts(self.name, found.xyxy[kept], joint[kept].astype(np.float32))
