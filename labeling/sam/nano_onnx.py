"""`nano` through onnxruntime: without torch, and several times faster on a CPU."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeloop.labeling.sam.graph_device import Device, open_graph
from edgeloop.labeling.sam.mask_logits import predict_alternatives, predict_masks

__all__ = ["OnnxNano"]

_LONG_SIDE_PX = 512
_MULTIPLE_PX = 32
_PIXEL_MEAN, _PIXEL_STD = 127.0, 128.0


class OnnxNano:
    """An `InteractiveSegmenter` of two ONNX models, encoder and decoder."""

    crop_side_px = 256

    def __init__(self, encoder: Path, decoder: Path, *, device: Device = "cpu") -> None:
        """Open `nano_encoder.onnx` and `nano_decoder.onnx`, beside their weights `nano.safetensors`.

        Raises:
            ModelError: A file is not an ONNX model.
            UnavailableError: onnxruntime cannot use the device.
        """
        self._encoder = open_graph(encoder, device, weights_beside=True)
        self._decoder = open_graph(decoder, device, weights_beside=True)

    def set_image(self, image: npt.NDArray[np.uint8]) -> None:
        """See `Segmenter.set_image`."""
        self._encode(image, _LONG_SIDE_PX)

    def encode(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Self]:
        """See `Segmenter.encode`; the graph takes one image."""
        return [self.with_image(image) for image in images]

    def masks(
        self,
        *,
        boxes: npt.NDArray[np.float32] | None = None,
        points: npt.NDArray[np.float32] | None = None,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """See `Segmenter.masks`."""
        return predict_masks(self._decode, self._size, self._scale / 4, boxes=boxes, points=points)

    def alternatives(
        self,
        points: npt.NDArray[np.float32],
        labels: npt.NDArray[np.float32],
        *,
        box: npt.NDArray[np.float32] | None = None,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """See `InteractiveSegmenter.alternatives`."""
        return predict_alternatives(self._decode, self._size, self._scale / 4, points, labels, box)

    def with_image(self, image: npt.NDArray[np.uint8], *, long_side_px: int | None = None) -> Self:
        """See `InteractiveSegmenter.with_image`."""
        other = copy.copy(self)
        other._encode(image, long_side_px or _LONG_SIDE_PX)
        return other

    def _decode(
        self, coords: npt.NDArray[np.float32], labels: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        logits, iou = self._decoder.run(self._embedding, (coords * self._scale).astype(np.float32), labels)
        return logits, iou

    def _encode(self, image: npt.NDArray[np.uint8], long_side_px: int) -> None:
        height, width = image.shape[:2]
        self._size = (width, height)
        scale = long_side_px / max(width, height)
        valid = (max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5)))
        self._scale = np.array([valid[0] / width, valid[1] / height], dtype=np.float32)
        # `SamPredictor` resizes with Pillow's filter; another one changes fine texture.
        resized = np.asarray(Image.fromarray(image).resize(valid, Image.Resampling.BILINEAR))
        columns, rows = (-side % _MULTIPLE_PX for side in valid)
        # 127 becomes zero below, the value that the convolutions pad with.
        padded = cv2.copyMakeBorder(resized, 0, rows, 0, columns, cv2.BORDER_CONSTANT, value=(127, 127, 127))
        blob = cv2.dnn.blobFromImage(padded, 1 / _PIXEL_STD, mean=(_PIXEL_MEAN,) * 3, swapRB=True)
        (self._embedding,) = self._encoder.run(blob)
