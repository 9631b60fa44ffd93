"""segment-anything models as an `InteractiveSegmenter`: numpy in, numpy out, torch inside."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

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
        (encoded,) = self.encode([image])
        self._predictor, self._size = encoded._predictor, encoded._size

    def encode(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Self]:
        """See `Segmenter.encode`; the images are padded to one size and go through the encoder together.

        Raises:
            torch.cuda.OutOfMemoryError: They do not fit into the memory of the GPU together.
        """
        with torch.inference_mode():
            predictors = self._encode(images)
        encoded = [copy.copy(self) for _ in images]
        for own, predictor, image in zip(encoded, predictors, images, strict=True):
            own._predictor, own._size = predictor, image.shape[:2]
        return encoded

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
        (encoded,) = self.encode([image])
        return encoded

    def _encode(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Any]:
        """Give a predictor of each image, as `SamPredictor.set_image` would leave it."""
        predictors = [copy.copy(self._predictor) for _ in images]
        inputs = []
        for predictor, image in zip(predictors, images, strict=True):
            resized = predictor.transform.apply_image(image[..., ::-1])
            pixels = torch.as_tensor(resized, device=predictor.device).permute(2, 0, 1).contiguous()[None]
            predictor.original_size, predictor.input_size = image.shape[:2], tuple(pixels.shape[-2:])
            inputs.append(predictor.model.preprocess(pixels))
        features = self._predictor.model.image_encoder(torch.cat(inputs))
        for predictor, own in zip(predictors, features.split(1), strict=True):
            predictor.features, predictor.is_image_set = own, True
        return predictors

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
