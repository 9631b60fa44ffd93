"""Training samples for a promptable segmenter from COCO folders with masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pycocotools import mask as rle
from torch.utils.data import IterableDataset

from edgeloop.edge.host.opencv import require_image
from recipes.nano.architecture import IMAGE_SIZE, STRIDE
from recipes.nano.coco_folder import Folder

__all__ = ["PromptedCrops", "Sample", "collate"]

_MIN_AREA_PX = 60  # minimum area of an instance in the crop
_PASTE_PROBABILITY = 0.5  # of pasting one more object of another image over a crop
_MAX_PASTED = 0.3  # maximum fraction of a crop that a pasted object covers
_MAX_ROTATION_DEG = 20.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Crop with its prompts: K prompts, boxes first, then points.

    Attributes:
        image: (3, S, S) uint8 RGB.
        masks: (K, S/4, S/4) float32 in [0, 1], area-averaged.
        boxes: (K_box, 4) float32 XYXY px of the crop.
        points: (K_point, 2) float32 XY px of the crop.
        offset: (2,) int64, position of the crop in the 512 px frame, in embedding cells (x, y).
    """

    image: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    points: npt.NDArray[np.float32]
    offset: npt.NDArray[np.int64]


class PromptedCrops(IterableDataset[Sample]):
    """Endless random crops with box and point prompts.

    Args:
        folders: Folders with their sampling weights.
        cutouts: Folders of objects that are only pasted; half of the pasted objects are theirs.
        crop: Side of the crop, px, a multiple of 32.
        boxes: Box prompts per crop.
        points: Point prompts per crop.
        seed: Random seed; the sequence depends on it and on the worker's number alone.
    """

    def __init__(
        self,
        folders: list[tuple[Folder, float]],
        cutouts: list[Folder],
        *,
        crop: int,
        boxes: int,
        points: int,
        seed: int,
    ) -> None:
        self.folders = [folder for folder, _ in folders]
        weights = np.array([weight for _, weight in folders], dtype=np.float64)
        self.weights = weights / weights.sum()
        self.cutouts = cutouts
        self.crop, self.boxes, self.points, self.seed = crop, boxes, points, seed

    def __iter__(self) -> Iterator[Sample]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng((self.seed, worker.id if worker else 0))
        cv2.setNumThreads(1)
        while True:
            folder = self._folder(rng)
            sample = self._draw(folder, int(rng.integers(len(folder.paths))), rng)
            if sample is not None:
                yield sample

    def _draw(self, folder: Folder, index: int, rng: np.random.Generator) -> Sample | None:
        image = require_image(folder.paths[index])
        instances = folder.instances[index]
        # The crop is placed on the first instance; a few others may be in it.
        chosen = rng.permutation(len(instances))[: self.boxes + self.points + 4]
        masks = np.stack([rle.decode(instances[i]) for i in chosen])
        window = _window(masks[0], self.crop, rng)
        if window is None:
            return None
        image = _jitter_color(_warp(image, window, self.crop, cv2.INTER_LINEAR), rng)
        crops = np.stack([_warp(mask, window, self.crop, cv2.INTER_LINEAR) for mask in masks])
        while rng.random() < _PASTE_PROBABILITY:
            image, crops = self._paste(image, crops, rng)
        crops = crops[(crops > 0).sum((1, 2)) >= _MIN_AREA_PX]
        if len(crops) == 0:
            return None
        count = self.boxes + self.points
        order = rng.permutation(max(count, len(crops)))[:count] % len(crops)
        picked = crops[order]
        boxes = [_jittered_box(mask, rng) for mask in picked[: self.boxes]]
        points = [_point(mask, rng) for mask in picked[self.boxes :]]
        side = self.crop // 4
        small = [cv2.resize(m.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) for m in picked]
        cells = (IMAGE_SIZE - self.crop) // STRIDE
        return Sample(
            image=np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)),
            masks=np.stack(small),
            boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
            points=np.array(points, dtype=np.float32).reshape(-1, 2),
            offset=rng.integers(0, cells + 1, size=2),
        )

    def _paste(
        self, image: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Copy-paste augmentation: paste an object of another image (Ghiasi et al. 2021, arXiv:2012.07177).

        The masks below lose what it hides; its own mask is last.
        """
        cut_out = self.cutouts and rng.random() < 0.5
        folder = self.cutouts[rng.integers(len(self.cutouts))] if cut_out else self._folder(rng)
        index = int(rng.integers(len(folder.paths)))
        instances = folder.instances[index]
        mask = np.asarray(rle.decode(instances[int(rng.integers(len(instances)))]))
        window = _window(mask, self.crop, rng)
        if window is None:
            return image, masks
        mask = _warp(mask, window, self.crop, cv2.INTER_LINEAR)
        if not _MIN_AREA_PX <= mask.sum() <= _MAX_PASTED * mask.size:
            return image, masks
        other = _jitter_color(
            _warp(require_image(folder.paths[index]), window, self.crop, cv2.INTER_LINEAR), rng
        )
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)[..., None]
        pasted = (soft * other + (1 - soft) * image).astype(np.uint8)
        return pasted, np.concatenate([masks * (mask == 0), mask[None]])

    def _folder(self, rng: np.random.Generator) -> Folder:
        return self.folders[rng.choice(len(self.folders), p=self.weights)]


def collate(samples: list[Sample]) -> dict[str, torch.Tensor]:
    """Stack samples into one batch of tensors, keyed by field."""
    fields = Sample.__slots__
    return {name: torch.from_numpy(np.stack([getattr(s, name) for s in samples])) for name in fields}


def _window(
    anchor: npt.NDArray[np.uint8], crop: int, rng: np.random.Generator
) -> npt.NDArray[np.float64] | None:
    """Draw an affine map (2, 3) from image to crop, placed on the anchor: random scale, flip, rotation."""
    ys, xs = np.nonzero(anchor)
    if len(xs) == 0:
        return None
    height, width = anchor.shape
    # At inference the long side is 512; training shows objects at half to twice their size there.
    scale = IMAGE_SIZE / max(height, width) * float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
    side = crop / scale
    pick = int(rng.integers(len(xs)))
    left, top = (
        _start(center + rng.uniform(-0.35, 0.35) * side, side, extent, rng)
        for center, extent in ((float(xs[pick]), width), (float(ys[pick]), height))
    )
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    if rng.random() < 0.5:
        matrix[0] = [-scale, 0, crop - matrix[0, 2]]
    if rng.random() < 0.3:
        rotation = cv2.getRotationMatrix2D(
            (crop / 2, crop / 2), rng.uniform(-_MAX_ROTATION_DEG, _MAX_ROTATION_DEG), 1.0
        )
        matrix = rotation[:, :2] @ matrix + np.array([[0, 0, rotation[0, 2]], [0, 0, rotation[1, 2]]])
    return matrix


def _start(center: float, side: float, extent: int, rng: np.random.Generator) -> float:
    """Start of the crop along one axis, in image pixels: inside the image unless the image is smaller."""
    if side >= extent:
        return 0.0 if rng.random() < 0.5 else float(rng.uniform(extent - side, 0))
    return float(np.clip(center - side / 2, 0, extent - side))


def _warp(
    array: npt.NDArray[Any], matrix: npt.NDArray[np.float64], crop: int, interpolation: int
) -> npt.NDArray[Any]:
    border = (127, 127, 127) if array.ndim == 3 else 0
    return np.asarray(cv2.warpAffine(array, matrix, (crop, crop), flags=interpolation, borderValue=border))


def _jitter_color(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Augment brightness, contrast, tint, blur and noise."""
    gain = rng.uniform(0.6, 1.4) * rng.uniform(0.9, 1.1, size=3)
    out = (image.astype(np.float32) - 127) * gain + 127 + rng.uniform(-30, 30)
    if rng.random() < 0.2:
        out = out[..., rng.permutation(3)]
    if rng.random() < 0.15:
        out = np.repeat(out.mean(2, keepdims=True), 3, axis=2)
    if rng.random() < 0.2:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.5, 1.5)))
    if rng.random() < 0.2:
        out += rng.normal(0, rng.uniform(2, 10), out.shape).astype(np.float32)
    return np.clip(out, 0, 255).astype(np.uint8)


def _jittered_box(mask: npt.NDArray[np.uint8], rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Box of the mask with random jitter, like boxes of people and detectors."""
    ys, xs = np.nonzero(mask)
    x1, y1, x2, y2 = float(xs.min()), float(ys.min()), float(xs.max()) + 1, float(ys.max()) + 1
    spread = rng.choice([0.0, 0.03, 0.08])
    noise = np.clip(rng.normal(0, 1, 4) * spread, -0.2, 0.2) * np.array([x2 - x1, y2 - y1] * 2)
    side = mask.shape[0]
    left, top = max(0.0, x1 + noise[0]), max(0.0, y1 + noise[1])
    return left, top, min(side, max(left + 4, x2 + noise[2])), min(side, max(top + 4, y2 + noise[3]))


def _point(mask: npt.NDArray[np.uint8], rng: np.random.Generator) -> tuple[float, float]:
    """Draw a pixel of the mask: with equal probability any, or one of the deepest."""
    if rng.random() < 0.5:
        ys, xs = np.nonzero(mask)
    else:
        depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        ys, xs = np.nonzero(depth >= 0.8 * depth.max())
    pick = int(rng.integers(len(xs)))
    return float(xs[pick]), float(ys[pick])
