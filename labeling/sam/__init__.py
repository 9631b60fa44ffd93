"""Segmenters behind one small protocol; `load("nano")` gives the one that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeloop.labeling.sam.checkpoints import OFFICIAL, fetch
from edgeloop.labeling.sam.nano_onnx import OnnxNano
from edgeloop.labeling.step_progress import Progress, no_progress
from edgeloop.models.errors import NoInputError, UsageError
from edgeloop.models.weights.digest import file_sha256
from edgeloop.models.weights.registry import WEIGHTS, weights_path

__all__ = ["Segmenter", "fingerprint", "load"]

_NANO = "nano"


class Segmenter(Protocol):
    """A promptable segmenter: one image at a time, any number of prompts on it."""

    def set_image(self, image: npt.NDArray[np.uint8]) -> None:
        """Encode an image, HxWx3 uint8 BGR in [0, 255]; later prompts refer to it."""

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


def load(name: str, *, offline: bool = False, progress: Progress = no_progress) -> Segmenter:
    """Load a segmenter.

    Args:
        name: `nano`, which ships and runs through onnxruntime; `vit_b`, `vit_l` or `vit_h`, checkpoints of
            segment-anything, downloaded once into the user's cache; or the path of a checkpoint: `.pth` of
            segment-anything, or `.safetensors` of nano's recipe. All but `nano` run through torch.
        offline: Never download.
        progress: Shows a download.

    Raises:
        UsageError: No segmenter of that name.
        NoInputError: The path does not exist.
        ModelError: The weights are damaged, or of another model.
        UnavailableError: A checkpoint cannot be downloaded.
    """
    if name == _NANO:
        weights_path("nano")  # checked here because the graphs refer to it
        return OnnxNano(weights_path("nano-encoder"), weights_path("nano-decoder"))
    if name not in OFFICIAL and not name.endswith((".pth", ".safetensors")):
        raise _unknown(name)
    from edgeloop.labeling.sam.weights import load_checkpoint, load_nano  # loads torch; nano does without

    if name.endswith(".safetensors"):
        return load_nano(Path(name))
    if name in OFFICIAL:
        return load_checkpoint(fetch(OFFICIAL[name], offline=offline, progress=progress))
    return load_checkpoint(Path(name))


def fingerprint(name: str) -> str:
    """Digest of the weights of a segmenter, named as for `load`.

    It is "sha256:" or, for the official checkpoints, "md5:", and hexadecimal digits.

    Raises:
        UsageError: No segmenter of that name.
        NoInputError: The path does not exist.
    """
    if name == _NANO:
        return f"sha256:{WEIGHTS[_NANO].sha256}"
    if name.endswith((".safetensors", ".pth")):
        try:
            return f"sha256:{file_sha256(Path(name))}"
        except OSError as error:
            raise NoInputError(f"--sam {name}: cannot be read ({error.strerror})") from error
    if name in OFFICIAL:
        return f"md5:{OFFICIAL[name].md5}"
    raise _unknown(name)


def _unknown(name: str) -> UsageError:
    expected = "nano, vit_b, vit_l, vit_h, or the path of a .pth or .safetensors file"
    return UsageError(f"--sam {name}: unknown, expected {expected}")
