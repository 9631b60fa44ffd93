"""SAM models as pairs of ONNX files, encoder and decoder, as samexporter and X-AnyLabeling write them.

The names of the graphs' inputs and outputs tell the family. The shape of the encoder's input tells if it
normalizes and pads the image itself.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeloop.edge.engines.session import Session
from edgeloop.labeling.sam.graph_device import Device, open_graph
from edgeloop.labeling.sam.mask_logits import predict_alternatives, predict_masks
from edgeloop.models.errors import ModelError, NoInputError
from edgeloop.models.facts.tensor_info import TensorInfo

__all__ = ["OnnxPair", "find_pair"]

_PIXEL_MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)  # RGB, in all families
_PIXEL_STD = np.array([58.395, 57.12, 57.375], dtype=np.float32)
_EMBEDDING_STRIDE, _LOGIT_STRIDE = 16, 4  # of the model's image, in pixels


@dataclass(frozen=True)
class _Family:
    """Interface of a family's graphs.

    Attributes:
        name: Name for messages.
        images: Names that its exporters give to the image.
        features: Outputs of the encoder.
        embedding: The one of `features` at stride 16.
        prompts: Inputs of the decoder beside the features.
        masks: Output of the decoder with the logits at stride 4.
        scores: Output of the decoder with the predicted IoU.
        stretched: The image fills the square of the model; otherwise its long side does.
        pads: The decoder pads a point by itself.
    """

    name: str
    images: frozenset[str]
    features: frozenset[str]
    embedding: str
    prompts: frozenset[str]
    masks: str
    scores: str
    stretched: bool = False
    pads: bool = False


_POINTS = frozenset({"point_coords", "point_labels"})
_MASK = frozenset({"mask_input", "has_mask_input"})
_SIZE = frozenset({"orig_im_size"})
_PLAIN = frozenset({"image_embeddings"})
_IMAGES = frozenset({"input_image", "image"})
_EFFICIENT_SAM = _Family(
    "EfficientSAM", frozenset({"batched_images"}), _PLAIN, "image_embeddings",
    frozenset({"batched_point_coords", "batched_point_labels"}) | _SIZE, "output_masks", "iou_predictions",
    stretched=True, pads=True,
)  # fmt: skip
_FAMILIES = (
    _Family(
        "SAM or MobileSAM", _IMAGES, _PLAIN, "image_embeddings", _POINTS | _MASK | _SIZE,
        "low_res_masks", "iou_predictions",
    ),
    _Family("EdgeSAM", _IMAGES, _PLAIN, "image_embeddings", _POINTS, "masks", "scores"),
    _Family(
        "SAM 2", _IMAGES, frozenset({"image_embed", "high_res_feats_0", "high_res_feats_1"}), "image_embed",
        _POINTS | _MASK, "masks", "iou_predictions", stretched=True, pads=True,
    ),
    _EFFICIENT_SAM,
)  # fmt: skip


def find_pair(path: Path) -> tuple[Path, Path]:
    """Find both files of a pair, sorted by name.

    Args:
        path: Folder of the pair, or one of its files; the other one is beside it, its name with "decoder"
            instead of "encoder" or the reverse.

    Raises:
        NoInputError: A file does not exist.
        ModelError: The folder holds more or fewer than two ONNX files.
    """
    if path.is_dir():
        found = sorted(path.glob("*.onnx"))
        if len(found) != 2:
            raise ModelError(
                f"--sam {path}: expected two .onnx files in the folder, encoder and decoder, got {len(found)}"
            )
        return found[0], found[1]
    swapped = path.name.replace("encoder", "\0").replace("decoder", "encoder").replace("\0", "decoder")
    for file in (path, path.with_name(swapped)):
        if not file.is_file():
            raise NoInputError(f"--sam {path}: there is no file {file}; expected an encoder and a decoder")
    if swapped == path.name:
        raise NoInputError(
            f"--sam {path}: expected 'encoder' or 'decoder' in the file's name, so that the other one of the "
            "pair can be found; or name a folder that holds both"
        )
    first, second = sorted((path, path.with_name(swapped)))
    return first, second


class OnnxPair:
    """An `InteractiveSegmenter` of two ONNX files."""

    crop_side_px = None

    def __init__(self, path: Path, *, device: Device = "cpu") -> None:
        """Open a pair, named as for `find_pair`.

        Raises:
            NoInputError: A file does not exist.
            ModelError: The files are not a pair of one of the families.
            UnavailableError: onnxruntime cannot use the device.
        """
        sessions = sorted((open_graph(file, device) for file in find_pair(path)), key=lambda s: len(s.inputs))
        self._encoder, self._decoder = sessions
        self._family = _family(self._encoder, self._decoder)
        self._inputs = {info.name: info for info in self._decoder.inputs}
        self._side = self._check_shapes()

    def set_image(self, image: npt.NDArray[np.uint8]) -> None:
        """See `Segmenter.set_image`."""
        height, width = image.shape[:2]
        self._size = (width, height)
        scale = self._side / np.array([width, height], dtype=np.float32)
        valid = (self._side, self._side)
        if not self._family.stretched:
            valid = (max(1, int(width * scale.min() + 0.5)), max(1, int(height * scale.min() + 0.5)))
        self._scale = np.array(valid, dtype=np.float32) / (width, height)
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        if self._family is not _EFFICIENT_SAM:  # its graph takes any size
            # `SamPredictor` resizes with Pillow's filter; another one changes fine texture.
            rgb = np.asarray(Image.fromarray(rgb).resize(valid, Image.Resampling.BILINEAR))
        outputs = self._encoder.run(self._blob(rgb))
        self._features = dict(zip((info.name for info in self._encoder.outputs), outputs, strict=True))

    def encode(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Self]:
        """See `Segmenter.encode`; exporters fix the encoder's batch to 1 or leave it untested."""
        return [self.with_image(image) for image in images]

    def masks(
        self,
        *,
        boxes: npt.NDArray[np.float32] | None = None,
        points: npt.NDArray[np.float32] | None = None,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """See `Segmenter.masks`."""
        return predict_masks(
            self._decode, self._size, self._scale / _LOGIT_STRIDE, boxes=boxes, points=points
        )

    def alternatives(
        self,
        points: npt.NDArray[np.float32],
        labels: npt.NDArray[np.float32],
        *,
        box: npt.NDArray[np.float32] | None = None,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """See `InteractiveSegmenter.alternatives`."""
        return predict_alternatives(
            self._decode, self._size, self._scale / _LOGIT_STRIDE, points, labels, box
        )

    def with_image(self, image: npt.NDArray[np.uint8], *, long_side_px: int | None = None) -> Self:  # noqa: ARG002
        """See `InteractiveSegmenter.with_image`; the model has one size."""
        other = copy.copy(self)
        other.set_image(image)
        return other

    def _check_shapes(self) -> int:
        """Check shapes and dtypes; return the side of the model's square image, in pixels."""
        (image,) = self._encoder.inputs
        side = (self._inputs[self._family.embedding].shape or (None,))[-1]
        if side is None:
            raise ModelError(
                f"{self._decoder.path}: {self._family.embedding} has no fixed size, expected one"
            )
        side *= _EMBEDDING_STRIDE
        rank, free = len(image.shape), None in image.shape[-2:]
        raw = self._family is _EFFICIENT_SAM or rank == 3 or free
        if (
            rank not in (3, 4)
            or image.shape[-1 if rank == 3 else 1] not in (3, None)
            or (not raw and image.shape[-2:] != (side, side))
            or image.dtype not in (("float32", "float16", "uint8") if raw else ("float32", "float16"))
        ):
            raise ModelError(
                f"{self._encoder.path}: expected an image of {side} x {side} px, as (1, 3, {side}, {side}), "
                f"(1, 3, ?, ?) or (?, ?, 3), got {image}"
            )
        for name in self._family.prompts:
            if "coords" in name and self._inputs[name].shape[-2] is not None:
                raise ModelError(
                    f"{self._decoder.path}: expected any number of points for a prompt, as a box has two, "
                    f"got {self._inputs[name]}; export it with this axis dynamic"
                )
        return side

    def _blob(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.generic]:
        """Convert a resized RGB image (h, w, 3) to the input of the encoder."""
        (image,) = self._encoder.inputs
        if len(image.shape) == 3:
            return rgb.astype(image.dtype)
        if self._family is _EFFICIENT_SAM:
            pixels = rgb.astype(np.float32) / 255
        elif None in image.shape[-2:]:
            return rgb.transpose(2, 0, 1)[None].astype(image.dtype)
        else:
            pixels = np.zeros((self._side, self._side, 3), dtype=np.float32)
            pixels[: rgb.shape[0], : rgb.shape[1]] = (rgb - _PIXEL_MEAN) / _PIXEL_STD
        return pixels.transpose(2, 0, 1)[None].astype(image.dtype)

    def _decode(
        self, coords: npt.NDArray[np.float32], labels: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """Decode prompts one by one, as exporters fix the decoder's batch to 1 or leave it untested."""
        outputs = [self._decode_one(*prompt) for prompt in zip(coords * self._scale, labels, strict=True)]
        logits, iou = zip(*outputs, strict=True)
        return np.stack(logits), np.stack(iou)

    def _decode_one(
        self, coords: npt.NDArray[np.float32], labels: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        grid = self._side // _LOGIT_STRIDE
        if self._family.pads:
            coords, labels = coords[labels >= 0], labels[labels >= 0]
        feeds: Mapping[str, npt.NDArray[np.generic]] = {
            **self._features,
            "point_coords": coords[None],
            "point_labels": labels[None],
            "mask_input": np.zeros((1, 1, grid, grid)),
            "has_mask_input": np.zeros(1),
            # Of the masks in the size of the image, which nobody reads: `low_res_masks` is upscaled here.
            "orig_im_size": np.array([grid, grid]),
        }
        if self._family is _EFFICIENT_SAM:  # coordinates and logits are of an image with `orig_im_size`
            feeds = {
                **feeds,
                "batched_point_coords": coords[None, None] / _LOGIT_STRIDE,
                "batched_point_labels": labels[None, None],
            }
        outputs = self._decoder.run(*(_cast(feeds, info) for info in self._decoder.inputs))
        named = dict(zip((info.name for info in self._decoder.outputs), outputs, strict=True))
        logits, iou = named[self._family.masks], named[self._family.scores]
        if self._family is _EFFICIENT_SAM:
            logits, iou = logits[0], iou[0]
        if logits.shape != (1, iou.size, grid, grid):
            raise ModelError(
                f"{self._decoder.path}: expected {self._family.masks} (1, {iou.size}, {grid}, {grid}), for "
                f"each of {self._family.scores}, got {logits.shape}"
            )
        return logits[0].astype(np.float32), iou.reshape(-1)


def _cast(feeds: Mapping[str, npt.NDArray[np.generic]], info: TensorInfo) -> npt.NDArray[np.generic]:
    return np.ascontiguousarray(feeds[info.name], dtype=info.dtype)


def _family(encoder: Session, decoder: Session) -> _Family:
    """Tell the family by the names of inputs and outputs; raises ModelError."""
    images, features, inputs, outputs = (
        {info.name for info in tensors}
        for tensors in (encoder.inputs, encoder.outputs, decoder.inputs, decoder.outputs)
    )
    for family in _FAMILIES:
        if (
            len(images) == 1
            and images <= family.images
            and features == family.features
            and inputs == family.features | family.prompts
            and {family.masks, family.scores} <= outputs
        ):
            return family
    raise ModelError(
        f"{encoder.path.parent}: expected encoder and decoder of {', '.join(f.name for f in _FAMILIES)}, "
        f"with the names of samexporter or X-AnyLabeling; got {encoder.path.name} from {_names(images)} to "
        f"{_names(features)}, and {decoder.path.name} from {_names(inputs)} to {_names(outputs)}"
    )


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names))
