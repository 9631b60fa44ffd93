"""Segmenters that run through torch, from their weights; nothing is ever unpickled as code."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from segment_anything import sam_model_registry

from edgeloop.export.network.device import choose_device
from edgeloop.labeling.sam.graph_device import Device
from edgeloop.labeling.sam.sam2_segmenter import load_sam2
from edgeloop.labeling.sam.segmenter import SamSegmenter
from edgeloop.models.errors import ModelError, NoInputError

__all__ = ["load_checkpoint"]

_KIND_BY_EMBED_DIM = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}


def load_checkpoint(path: Path, *, device: Device = "cpu") -> SamSegmenter:
    """Load a `.pth` checkpoint of segment-anything, or `.pt` of SAM 2.1, in evaluation mode.

    Its tensors tell the model.

    Raises:
        NoInputError: There is no such file.
        ModelError: It is damaged, holds more than tensors, or is of another model.
        UnavailableError: There is no CUDA device, or the package of SAM 2 is not installed.
    """
    processor = choose_device(device)
    if not path.is_file():
        raise NoInputError(f"{path}: no such checkpoint")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        if "model" in weights:
            return load_sam2(path, weights["model"], processor)
        kind = _KIND_BY_EMBED_DIM[weights["image_encoder.pos_embed"].shape[-1]]
        model = sam_model_registry[kind]()
        model.load_state_dict(weights)
    except (pickle.UnpicklingError, EOFError, OSError) as error:
        raise ModelError(f"{path}: damaged, or not a file of tensors; get the checkpoint again") from error
    except (KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(f"{path}: not a checkpoint of segment-anything (vit_b, vit_l or vit_h)") from error
    return SamSegmenter(model.to(processor).eval())
