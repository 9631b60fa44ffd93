"""Features of doubts, by which look-alikes are found."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.engines.session import Session
from edgeloop.edge.host.opencv import read_image
from edgeloop.labeling.studio.box_picture import crop_square
from edgeloop.labeling.studio.review.doubts import Doubt
from edgeloop.models.weights.registry import weights_path

__all__ = ["embed_doubts"]

_SIDE_PX = 96
_MARGIN = 1.3  # side of the square that is embedded, as a multiple of the box's longer side
_BATCH = 16
_PIXEL_MEAN, _PIXEL_STD = 127.0, 128.0  # as in TensorFlow's EfficientNet-Lite


def embed_doubts(
    doubts: Sequence[Doubt], path_of: Callable[[str], Path], advance: Callable[[int], None]
) -> NDArray[np.float32]:
    """Embed doubts by EfficientNet-Lite0's features inside their boxes; runs in one thread.

    Args:
        doubts: The doubts, in any order.
        path_of: Gives the image of a frame by its name.
        advance: Called with the number of doubts that are done.

    Returns:
        float32 (N, D), each row of length 1; zeros for a frame that cannot be read.
    """
    session = Session(weights_path("lite0"), provider="cpu", threads=1)
    order = sorted(range(len(doubts)), key=lambda place: doubts[place].file)
    rows: dict[int, NDArray[np.float32]] = {}
    for file, group in itertools.groupby(order, key=lambda place: doubts[place].file):
        image = read_image(path_of(file))
        own = [*group]
        for start in range(0, len(own), _BATCH):
            places = own[start : start + _BATCH]
            if image is not None:
                features = _embed(session, image, [doubts[place].xyxy for place in places])
                rows.update(zip(places, features, strict=True))
            advance(len(places))
    width = len(next(iter(rows.values()))) if rows else 1
    return np.stack([rows.get(place, np.zeros(width, np.float32)) for place in range(len(doubts))])


def _embed(
    session: Session, image: NDArray[np.uint8], boxes: Sequence[Sequence[float]]
) -> NDArray[np.float32]:
    crops = [crop_square(image, box, _MARGIN * _longer(box), _SIDE_PX) for box in boxes]
    blob = cv2.dnn.blobFromImages(crops, 1 / _PIXEL_STD, mean=(_PIXEL_MEAN,) * 3, swapRB=True)
    pooled = []
    for features in session.run(np.asarray(blob, np.float32))[1:]:  # strides 8, 16 and 32
        inside = np.stack([_inside(box, features.shape[2:]) for box in boxes])
        mean = (features * inside[:, None]).sum(axis=(2, 3)) / inside.sum(axis=(1, 2))[:, None]
        pooled.append(_unit(mean))
    return _unit(np.concatenate(pooled, axis=1)).astype(np.float32)


def _inside(box: Sequence[float], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Weights (h, w) of the cells of a square's features: 1 inside the box, nearly 0 around it."""
    x1, y1, x2, y2 = box
    side = _longer(box)
    weights = np.full(shape, 1e-4, np.float32)
    (height, width) = ((y2 - y1) / side / _MARGIN, (x2 - x1) / side / _MARGIN)
    top, bottom = (round((0.5 + sign * height / 2) * shape[0]) for sign in (-1, 1))
    left, right = (round((0.5 + sign * width / 2) * shape[1]) for sign in (-1, 1))
    weights[top : max(bottom, top + 1), left : max(right, left + 1)] = 1
    return weights


def _longer(xyxy: Sequence[float]) -> float:
    x1, y1, x2, y2 = xyxy
    return max(x2 - x1, y2 - y1)


def _unit(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12))
