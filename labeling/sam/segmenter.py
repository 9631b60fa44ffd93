"""segment-anything models as an `InteractiveSegmenter`: numpy in, numpy out, torch inside."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

__all__ = ["SamSegmenter"]

_BATCH = 32  # bounds the memory of one decoder call: masks have the size of the image


class SamSegmenter:
    """An `InteractiveSegmenter` on top of segment-anything's own `SamPredictor`."""

    crop_side_px = None

    def __init__(self, model: Sam) -> None:
        """Wrap a model in evaluation mode."""
        self.model = model
        self._predictor = SamPredictor(model)
        self._size = (0, 0)

    def set_image(self, image: npt.NDArray[np.uint8]) -> None:
        """See `Segmenter.set_image`."""
        self._size = image.shape[:2]
        with torch.inference_mode():
            self._predictor.set_image(image, image_format="BGR")

    def masks(
        self,
        *,
        boxes: npt.NDArray[np.float32] | None = None,
        points: npt.NDArray[np.float32] | None = None,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """See `Segmenter.masks`."""
        if (boxes is None) == (points is None):
            raise ValueError("expected boxes or points, and only one of them")
        prompts = np.asarray(boxes if points is None else points, dtype=np.float32)
        masks = np.zeros((len(prompts), *self._size), dtype=bool)
        scores = np.zeros(len(prompts), dtype=np.float32)
        for start in range(0, len(prompts), _BATCH):
            part = slice(start, start + _BATCH)
            with torch.inference_mode():
                masks[part], scores[part] = self._predict(prompts[part], are_boxes=points is None)
        return masks, scores

    def alternatives(
        self,
        points: npt.NDArray[np.float32],
        labels: npt.NDArray[np.float32],
        *,
        box: npt.NDArray[np.float32] | None = None,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """See `InteractiveSegmenter.alternatives`."""
        prompts = {"point_coords": points, "point_labels": labels} if len(points) else {}
        with torch.inference_mode():
            masks, scores, _ = self._predictor.predict(**prompts, box=box, multimask_output=True)
        return masks > 0, scores.astype(np.float32)

    def with_image(self, image: npt.NDArray[np.uint8], *, long_side_px: int | None = None) -> Self:  # noqa: ARG002
        """See `InteractiveSegmenter.with_image`; the model has one size."""
        other = type(self)(self._predictor.model)
        other.set_image(image)
        return other

    def _predict(
        self, given: npt.NDArray[np.float32], *, are_boxes: bool
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        predictor, size = self._predictor, self._size
        prompts = torch.from_numpy(given).to(predictor.device)
        if are_boxes:
            boxes = predictor.transform.apply_boxes_torch(prompts, size)
            masks, scores, _ = predictor.predict_torch(None, None, boxes=boxes, multimask_output=False)
            return masks[:, 0].cpu().numpy(), scores[:, 0].float().cpu().numpy()
        coords = predictor.transform.apply_coords_torch(prompts[:, None], size)
        labels = torch.ones(coords.shape[:2], device=coords.device)
        masks, scores, _ = predictor.predict_torch(coords, labels, multimask_output=True)
        best = scores.argmax(dim=1)
        rows = torch.arange(len(best), device=best.device)
        return masks[rows, best].cpu().numpy(), scores[rows, best].float().cpu().numpy()
