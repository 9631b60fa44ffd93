"""Segmenters behind one small protocol; `load("nano")` gives the one that ships."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self, get_args

import numpy as np
import numpy.typing as npt

from edgeloop.labeling.sam.checkpoints import OFFICIAL, fetch
from edgeloop.labeling.sam.graph_device import Device
from edgeloop.labeling.sam.nano_onnx import OnnxNano
from edgeloop.labeling.sam.onnx_pair import OnnxPair, find_pair
from edgeloop.labeling.step_progress import Progress, no_progress
from edgeloop.models.errors import NoInputError, UsageError
from edgeloop.models.weights.digest import file_sha256
from edgeloop.models.weights.registry import WEIGHTS, weights_path

__all__ = ["Device", "InteractiveSegmenter", "Segmenter", "fingerprint", "load", "model_files"]

_NANO = "nano"
_CHECKPOINTS = (".pth", ".pt")


class Segmenter(Protocol):
    """A promptable segmenter: any number of prompts on an image."""

    def set_image(self, image: npt.NDArray[np.uint8]) -> None:
        """Encode an image, HxWx3 uint8 BGR in [0, 255]; later prompts refer to it."""

    def encode(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Self]:
        """Encode several images, as `set_image` does for one; this segmenter keeps its own image.

        Models that run through torch encode them in one call, ONNX graphs one after another. One image gives
        the same bytes as `set_image`; the masks of several may differ from those of each alone by rounding.

        Args:
            images: HxWx3 uint8 BGR in [0, 255], at least one; their sizes may differ.

        Returns:
            A segmenter of each image, which shares the model.
        """

    def masks(
        self,
        *,
        boxes: npt.NDArray[np.float32] | None = None,
        points: npt.NDArray[np.float32] | None = None,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """Predict one mask for each prompt. Give boxes or points, not both.

        Args:
            boxes: (N, 4) XYXY, in pixels of the image.
            points: (N, 2) XY, in pixels of the image; each is on an object of its own.

        Returns:
            Masks (N, H, W) bool at the image's size, and predicted IoU (N,) float32.
        """


class InteractiveSegmenter(Segmenter, Protocol):
    """A segmenter for a person's clicks: several points on one object, and several images at a time."""

    @property
    def crop_side_px(self) -> int | None:
        """Long side to encode a crop at while a person waits; None if the encoder is too slow for that."""

    def alternatives(
        self,
        points: npt.NDArray[np.float32],
        labels: npt.NDArray[np.float32],
        *,
        box: npt.NDArray[np.float32] | None = None,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """Predict all masks that the model offers for one object.

        Args:
            points: (P, 2) XY, in pixels of the image; P may be 0 if there is a box.
            labels: (P,) 1 for a point on the object, 0 for one beside it.
            box: (4,) XYXY around the object, in pixels of the image; None if unknown.

        Returns:
            Masks (M, H, W) bool at the image's size, in the model's order, and predicted IoU (M,) float32.
        """

    def with_image(self, image: npt.NDArray[np.uint8], *, long_side_px: int | None = None) -> Self:
        """Encode another image, as `set_image` does; this segmenter keeps its own image.

        Args:
            image: HxWx3 uint8 BGR in [0, 255].
            long_side_px: Long side that the model sees; None for the one that it is made for.

        Returns:
            A segmenter of that image, which shares the model. Both may be used by different threads.
        """


def load(
    name: str, *, device: Device = "cpu", offline: bool = False, progress: Progress = no_progress
) -> InteractiveSegmenter:
    """Load a segmenter.

    Args:
        name: `nano`, which ships and runs through onnxruntime; `vit_b`, `vit_l` or `vit_h`, checkpoints of
            segment-anything, downloaded once into the user's cache; the path of a checkpoint: `.pth` of
            segment-anything, or `.pt` of SAM 2.1; or an `.onnx` file of a pair, or its folder. All but
            `nano` and pairs run through torch.
        device: Processor of the model.
        offline: Never download.
        progress: Shows a download.

    Raises:
        UsageError: No segmenter or device of that name.
        NoInputError: The path does not exist.
        ModelError: The weights are damaged, or of another model.
        UnavailableError: A checkpoint cannot be downloaded, or there is no CUDA device or package `sam2`.
    """
    if device not in get_args(Device):
        raise UsageError(f"--device {device}: unknown, expected {' or '.join(get_args(Device))}")
    if name == _NANO:
        weights_path("nano")  # checked here because the graphs refer to it
        return OnnxNano(weights_path("nano-encoder"), weights_path("nano-decoder"), device=device)
    if _is_pair(name):
        decoder, encoder, *weights = _pair_files(name)
        return OnnxNano(encoder, decoder, device=device) if weights else OnnxPair(Path(name), device=device)
    if name not in OFFICIAL and not name.endswith(_CHECKPOINTS):
        raise _unknown(name)
    from edgeloop.labeling.sam.weights import load_checkpoint  # loads torch; nano does without

    official = OFFICIAL.get(name)
    path = fetch(official, offline=offline, progress=progress) if official else Path(name)
    return load_checkpoint(path, device=device)


def model_files(name: str, *, offline: bool = False) -> tuple[Path, ...]:
    """Files of a segmenter, named as for `load`, which loads their copies by the path of the first.

    There is none for `nano`, which ships.
    """
    if name == _NANO:
        return ()
    if _is_pair(name):
        return _pair_files(name)
    return (fetch(OFFICIAL[name], offline=offline) if name in OFFICIAL else Path(name),)


def fingerprint(name: str) -> str:
    """Digest of the weights of a segmenter, named as for `load`.

    It is "sha256:" or, for the official checkpoints, "md5:", and hexadecimal digits. That of a pair is of
    the digests of its files.

    Raises:
        UsageError: No segmenter of that name.
        NoInputError: The path does not exist.
        ModelError: A folder does not hold a pair.
    """
    if name == _NANO:
        return f"sha256:{WEIGHTS[_NANO].sha256}"
    try:
        if _is_pair(name):
            digests = " ".join(map(file_sha256, _pair_files(name)))
            return f"sha256:{hashlib.sha256(digests.encode()).hexdigest()}"
        if name.endswith(_CHECKPOINTS):
            return f"sha256:{file_sha256(Path(name))}"
    except OSError as error:
        raise NoInputError(f"--sam {name}: cannot be read ({error.strerror})") from error
    if name in OFFICIAL:
        return f"md5:{OFFICIAL[name].md5}"
    raise _unknown(name)


def _is_pair(name: str) -> bool:
    return name not in OFFICIAL and (name.endswith(".onnx") or Path(name).is_dir())


def _pair_files(name: str) -> tuple[Path, ...]:
    """Find the files of a pair, sorted by name, and the weights file if it is of nano's recipe."""
    files = find_pair(Path(name))
    if files[1].name != WEIGHTS["nano-encoder"].file:
        return files
    weights = files[1].with_name(WEIGHTS[_NANO].file)
    if not weights.is_file():
        raise NoInputError(f"--sam {name}: there is no file {weights}; expected nano's weights")
    return *files, weights


def _unknown(name: str) -> UsageError:
    expected = "nano, vit_b, vit_l, vit_h, the path of a .pth, .pt or .onnx file, or a folder"
    return UsageError(f"--sam {name}: unknown, expected {expected}")
