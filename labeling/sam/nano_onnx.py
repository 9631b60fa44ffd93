"""`nano` through onnxruntime: without torch, and several times faster on a CPU."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeloop.edge.runtime.session import Session

__all__ = ["OnnxNano"]

_LONG_SIDE_PX = 512
_MULTIPLE_PX = 32
_PIXEL_MEAN, _PIXEL_STD = 127.0, 128.0
_BATCH = 32  # bounds the memory of one decoder call


class OnnxNano:
    """A `Segmenter` of two ONNX models, encoder and decoder."""

    def __init__(self, encoder: Path, decoder: Path) -> None:
        """Open `nano_encoder.onnx` and `nano_decoder.onnx`, beside their weights `nano.safetensors`.

        Raises:
            ModelError: A file is not an ONNX model.
        """
        self._encoder = Session(encoder, provider="cpu", weights_beside=True)
        self._decoder = Session(decoder, provider="cpu", weights_beside=True)

    def set_image(self, image: npt.NDArray[np.uint8]) -> None:
        """See `Segmenter.set_image`."""
        height, width = image.shape[:2]
        self._size = (width, height)
        scale = _LONG_SIDE_PX / max(width, height)
        valid = (max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5)))
        self._scale = np.array([valid[0] / width, valid[1] / height], dtype=np.float32)
        # `SamPredictor` resizes with Pillow's filter; another one changes fine texture.
        resized = np.asarray(Image.fromarray(image).resize(valid, Image.Resampling.BILINEAR))
        columns, rows = (-side % _MULTIPLE_PX for side in valid)
        # 127 becomes zero below, the value that the convolutions pad with.
        padded = cv2.copyMakeBorder(resized, 0, rows, 0, columns, cv2.BORDER_CONSTANT, value=(127, 127, 127))
        blob = cv2.dnn.blobFromImage(padded, 1 / _PIXEL_STD, mean=(_PIXEL_MEAN,) * 3, swapRB=True)
        (self._embedding,) = self._encoder.run(blob)

    def masks(
        self,
        *,
        boxes: npt.NDArray[np.float32] | None = None,
        points: npt.NDArray[np.float32] | None = None,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """See `Segmenter.masks`."""
        if (boxes is None) == (points is None):
            raise ValueError("expected boxes or points, and only one of them")
        if boxes is not None:
            coords = boxes.reshape(-1, 2, 2)
            labels = np.tile(np.array([2, 3], dtype=np.float32), (len(coords), 1))
        else:
            assert points is not None  # noqa: S101 - for the type checker; checked above
            coords = np.stack([points, np.zeros_like(points)], axis=1)
            labels = np.tile(np.array([1, -1], dtype=np.float32), (len(coords), 1))
        masks = np.zeros((len(coords), self._size[1], self._size[0]), dtype=bool)
        scores = np.zeros(len(coords), dtype=np.float32)
        for start in range(0, len(coords), _BATCH):
            part = slice(start, start + _BATCH)
            logits, iou = self._decoder.run(
                self._embedding, (coords[part] * self._scale).astype(np.float32), labels[part]
            )
            # A box has one mask, the first; a point may mean a part or the whole, so the best mask is taken.
            chosen = np.zeros(len(iou), dtype=int) if boxes is not None else 1 + iou[:, 1:].argmax(axis=1)
            for row, output in enumerate(chosen):
                self._paint(logits[row, output], masks[start + row])
                scores[start + row] = iou[row, output]
        return masks, scores

    def _paint(self, logits: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]) -> None:
        """Set the pixels of `mask` (H, W) where `logits` (h, w), at stride 4 of the input, are positive."""
        ys, xs = (np.flatnonzero((logits > 0).any(axis=axis)) for axis in (1, 0))
        if len(xs) == 0:
            return
        # One affine map from pixel centers to logit centers, only over the positive logits.
        step = self._scale / 4
        left, top = np.maximum(0, np.floor((np.array([xs[0], ys[0]]) - 0.5) / step)).astype(int)
        right, bottom = np.ceil((np.array([xs[-1], ys[-1]]) + 1.5) / step).astype(int)
        right, bottom = min(right, self._size[0]), min(bottom, self._size[1])
        shift = (step - 1) / 2 + step * (left, top)
        upscaled = cv2.warpAffine(
            logits,
            np.array([[step[0], 0, shift[0]], [0, step[1], shift[1]]]),
            (int(right - left), int(bottom - top)),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        np.greater(upscaled, 0, out=mask[top:bottom, left:right])
