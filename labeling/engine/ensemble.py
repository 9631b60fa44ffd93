"""Ensemble of detectors that share a frozen backbone, in one ONNX graph."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxslim
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeloop.export.graph.split_conv import split_convolutions
from edgeloop.export.network.blocks import folded
from edgeloop.export.network.compact_detector import STRIDES, CompactDetector
from edgeloop.labeling.engine.fusion import fuse_boxes
from edgeloop.labeling.sam.graph_device import Device, open_graph
from edgeloop.models.boxes import clip_boxes
from edgeloop.models.detections import Detections
from edgeloop.models.heads import decode
from edgeloop.models.letterbox import Letterbox

__all__ = ["Ensemble", "write_ensemble"]

_STRIDE = max(STRIDES)
_SMALL_VIEW = 0.77  # of the side
_MIN_SCORE = 0.01  # of one member in one view
_NMS_IOU = 0.7
_MAX_DETECTIONS = 2000


class Ensemble:
    """Detectors that look at an image twice each: as it is, and mirrored at three quarters of the size."""

    def __init__(self, path: Path, side: int, device: Device = "cpu", *, threads: int | None = None) -> None:
        """Load a graph.

        Args:
            path: As `write_ensemble` writes it.
            side: Long side to resize images to, px.
            device: Processor to run on.
            threads: CPU threads of one inference; None for one per physical core.

        Raises:
            UnavailableError: onnxruntime cannot use the device.
        """
        self._session = open_graph(path, device, threads=threads)
        self._sides = (side, max(_STRIDE, round(side * _SMALL_VIEW / _STRIDE) * _STRIDE))

    def detect(self, image: NDArray[np.uint8], member: int | None = None) -> Detections:
        """Detect objects, the boxes of all members and both views fused.

        Args:
            image: HxWx3 uint8 BGR.
            member: Ask only this member; None for all.

        Returns:
            Detections inside the image, by descending score, from about 0.01 on.
        """
        width, height = image.shape[1], image.shape[0]
        straight, mirrored = self._fitted(image)
        views = self._look(*straight, (width, height), member)
        for found in self._look(*mirrored, (width, height), member):
            left, top, right, bottom = found.xyxy.T
            xyxy = np.stack((width - right, top, width - left, bottom), axis=1)
            views.append(Detections(xyxy, found.confidence, found.class_id))
        found = fuse_boxes(views)
        xyxy = clip_boxes(found.xyxy, width, height)  # a weighted mean may be off by a rounding error
        return Detections(xyxy, found.confidence, found.class_id)

    def views(self, image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return the inputs of the graph for an image, HxWx3 uint8 BGR."""
        return [pixels for _, pixels in self._fitted(image)]

    def _fitted(self, image: NDArray[np.uint8]) -> list[tuple[Letterbox, NDArray[np.float32]]]:
        large, small = self._sides
        return [_fit(image, large), _fit(image[:, ::-1], small)]

    def _look(
        self, fitted: Letterbox, pixels: NDArray[np.float32], source_size: tuple[int, int], member: int | None
    ) -> list[Detections]:
        """Detections of each member."""
        size = (pixels.shape[3], pixels.shape[2])
        (outputs,) = self._session.run(pixels)
        views = []
        for cells in outputs if member is None else outputs[member : member + 1]:
            found = decode(
                "classic", [_boxes(cells, size)], input_size=size, confidence=_MIN_SCORE, iou=_NMS_IOU,
                max_detections=_MAX_DETECTIONS,
            )  # fmt: skip
            xyxy = clip_boxes(fitted.to_source(found.xyxy), *source_size)
            sound = (xyxy[:, 2:] - xyxy[:, :2]).min(axis=1, initial=np.inf) >= 1
            views.append(Detections(xyxy, found.confidence, found.class_id)[sound])
        return views


def write_ensemble(members: Sequence[CompactDetector], path: Path) -> None:
    """Write detectors as one graph.

    It takes float32 (1, 3, H, W), RGB in [0, 1], sides multiples of 32, and returns (members, 4 + classes,
    cells): left, top, right, bottom edge from the middle of each cell, in strides, then scores in [0, 1].

    Args:
        members: Detectors with the same frozen backbone, on the CPU.
        path: ONNX file.
    """
    network = _Network([folded(member) for member in members]).eval()
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation notes of the exporter
        exported = Path(folder) / "graph.onnx"
        torch.onnx.export(
            network, (torch.zeros(1, 3, 4 * _STRIDE, 4 * _STRIDE),), exported, dynamo=False,
            input_names=["images"], output_names=["cells"],
            dynamic_axes={"images": {2: "height", 3: "width"}, "cells": {2: "cells"}},
        )  # fmt: skip
        # onnxslim's own inference of shapes takes three times as long, for the same outputs in the same time.
        inferred = onnx.shape_inference.infer_shapes(onnx.load(exported))
        onnx.save(split_convolutions(onnxslim.slim(inferred, no_shape_infer=True)), path)


class _Network(nn.Module):
    def __init__(self, members: Sequence[CompactDetector]) -> None:
        super().__init__()
        self.backbone = members[0].backbone
        self.necks = nn.ModuleList(member.neck for member in members)
        self.heads = nn.ModuleList(member.head for member in members)

    def forward(self, image: Tensor) -> Tensor:
        features = self.backbone(image)
        outputs = []
        for neck, head in zip(self.necks, self.heads, strict=True):
            found = head(neck(features))
            outputs.append(torch.cat((found.distances, found.logits.sigmoid()), dim=1))
        return torch.cat(outputs)


def _fit(image: NDArray[np.uint8], side: int) -> tuple[Letterbox, NDArray[np.float32]]:
    """Letterbox an image, HxWx3 BGR, to a long side: (1, 3, h, w) RGB in [0, 1]."""
    height, width = image.shape[:2]
    ratio = side / max(width, height)
    fitted = Letterbox.fit((width, height), (_multiple(width * ratio), _multiple(height * ratio)))
    pixels = fitted.apply(np.ascontiguousarray(image))[..., ::-1].transpose(2, 0, 1)
    return fitted, np.ascontiguousarray(pixels, np.float32)[None] / np.float32(255)


def _multiple(side: float) -> int:
    return max(_STRIDE, math.ceil(round(side, 3) / _STRIDE) * _STRIDE)


def _boxes(cells: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.floating]:
    """Turn edges into boxes, as the head "classic" does: (1, 4 + classes, N)."""
    middles, strides = [], []
    for each in STRIDES:
        y, x = np.mgrid[: size[1] // each, : size[0] // each]
        middles.append(np.stack((x.ravel(), y.ravel())) + np.float32(0.5))
        strides.append(np.full(x.size, each, np.float32))
    near, far = cells[:2], cells[2:4]
    stride = np.concatenate(strides)
    center = (np.concatenate(middles, axis=1) + (far - near) / 2) * stride
    return np.concatenate((center, (near + far) * stride, cells[4:]))[None].astype(np.float32)
