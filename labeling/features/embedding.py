"""Embeddings of candidates: features of a crop, pooled inside the mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edgeloop.labeling.candidates.candidate import Candidate
from edgeloop.labeling.features.backbone import CHANNELS, extract_features, open_backbone, preprocess
from edgeloop.labeling.features.crop import crop_candidates

__all__ = ["Embedder", "Lite0", "pool_inside"]

_SIDE_PX = 96
_MIN_WEIGHT = 1e-4  # keeps the mean defined if a mask is smaller than a cell


class Embedder(Protocol):
    """Embeds candidates by their appearance."""

    def embed(self, image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Embed candidates in an image, HxWx3 uint8 BGR: float32 (N, D).

        Without a mask the whole box counts.
        """
        ...


class Lite0:
    """Frozen ImageNet features of EfficientNet-Lite0 at strides 8, 16 and 32; the weights ship."""

    def __init__(self) -> None:
        """Open the model, on as many cores as `limited_cores` leaves."""
        self._backbone = open_backbone()

    def embed(self, image: NDArray[np.uint8], candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """See `Embedder.embed`. The part of each stride has length 1."""
        if not candidates:
            return np.empty((0, sum(CHANNELS[1:])), np.float32)
        crops, masks = crop_candidates(image, candidates, _SIDE_PX)
        pixels = torch.cat([preprocess(crop, (_SIDE_PX, _SIDE_PX)) for crop in crops])
        features = extract_features(pixels, self._backbone)[1:]
        pooled = [pool_inside(each, masks) for each in features]
        return np.asarray(torch.cat(pooled, dim=1).numpy(), np.float32)


def pool_inside(features: Tensor, masks: NDArray[np.float32]) -> Tensor:
    """Average features (N, C, h, w) inside masks (N, side, side) in [0, 1]: (N, C), each of length 1."""
    inside = F.adaptive_avg_pool2d(torch.from_numpy(masks)[:, None], (features.shape[2], features.shape[3]))
    weight = inside + _MIN_WEIGHT
    return F.normalize((features * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3)), dim=1)
