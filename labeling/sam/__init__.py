"""The foundation model, behind one small protocol.

`load("nano")` gives the segmenter that ships with edgeloop.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeloop.edge.cli.progress import progress_bar
from edgeloop.models.errors import NoInputError, UsageError
from edgeloop.models.weights.digest import file_sha256
from edgeloop.models.weights.registry import WEIGHTS, weights_path

__all__ = ["Segmenter", "fingerprint", "load"]


NANO = "nano"
"""Name of the segmenter that ships."""


class Segmenter(Protocol):
    """A promptable segmenter. One image at a time, any number of prompts on it."""

    def set_image(self, image: npt.NDArray[np.uint8]) -> None:
        """Encode an image; later prompts refer to it.

        Args:
            image: HxWx3 uint8 BGR in [0, 255].
        """

    def masks(
        self,
        *,
        boxes: npt.NDArray[np.float32] | None = None,
        points: npt.NDArray[np.float32] | None = None,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """One mask for each prompt. Give boxes or points, not both.

        Args:
            boxes: (N, 4) XYXY, in pixels of the image.
            points: (N, 2) XY, in pixels of the image; each lies on an object of its own.

        Returns:
            Masks (N, H, W) bool at the image's size, and predicted IoU (N,) float32.
        """


def load(name: str, *, offline: bool = False) -> Segmenter:
    """Load a segmenter.

    Args:
        name: `nano`, the one that ships, through onnxruntime; `vit_b`, `vit_l` or `vit_h`, segment-anything's
            own checkpoints, fetched once into the user's cache; or the path of a checkpoint: `.pth` of
            segment-anything, or `.safetensors` written by the recipe of nano. The latter run through torch.
        offline: Never reach out.

    Returns:
        The segmenter, ready for `set_image`.

    Raises:
        UsageError: No segmenter of that name.
        NoInputError: The path does not exist.
        ModelError: The weights are damaged, or of another model.
        UnavailableError: An official checkpoint cannot be fetched.
    """
    if name == NANO:
        from edgeloop.labeling.sam.nano_onnx import OnnxNano

        weights_path("nano")  # checked here because the graphs refer to it
        return OnnxNano(weights_path("nano-encoder"), weights_path("nano-decoder"))
    if name.endswith(".safetensors"):
        from edgeloop.labeling.sam.nano_weights import load_nano

        return load_nano(Path(name))
    from edgeloop.labeling.sam.official import OFFICIAL, fetch, load_checkpoint

    if name in OFFICIAL:
        return load_checkpoint(
            fetch(OFFICIAL[name], offline=offline, bar=partial(progress_bar, in_bytes=True))
        )
    if name.endswith(".pth"):
        return load_checkpoint(Path(name))
    raise _unknown(name)


def fingerprint(name: str) -> str:
    """The digest of a segmenter's weights, for the record.

    Args:
        name: As for `load`.

    Returns:
        "sha256:" or, for the official checkpoints, "md5:", and hexadecimal digits.

    Raises:
        UsageError: No segmenter of that name.
        NoInputError: The path does not exist.
    """
    if name == NANO:
        return f"sha256:{WEIGHTS[NANO].sha256}"
    if name.endswith((".safetensors", ".pth")):
        try:
            return f"sha256:{file_sha256(Path(name))}"
        except OSError as error:
            raise NoInputError(f"--sam {name}: cannot be read ({error.strerror})") from error
    from edgeloop.labeling.sam.official import OFFICIAL

    if name in OFFICIAL:
        return f"md5:{OFFICIAL[name].md5}"
    raise _unknown(name)


def _unknown(name: str) -> UsageError:
    expected = "nano, vit_b, vit_l, vit_h, or the path of a .pth or .safetensors file"
    return UsageError(f"--sam {name}: unknown, expected {expected}")
