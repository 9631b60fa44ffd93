"""Detector at the start of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from edgeloop.export.network.blocks import ConvNorm
from edgeloop.export.network.compact_detector import CompactDetector, is_class_layer
from edgeloop.export.network.detector_weights import load_state, read_named_state, read_state
from edgeloop.export.network.lite0_backbone import imagenet_state
from edgeloop.export.network.mask_branch import is_mask_layer
from edgeloop.export.train_options import DEFAULT_MODEL
from edgeloop.models.errors import UsageError
from edgeloop.models.weights.registry import weights_path

__all__ = ["renamed_classes", "rescale", "start_detector"]


def start_detector(
    classes: int | Sequence[str], weights: str | None, *, seed: int, masks: int = 0
) -> tuple[CompactDetector, str]:
    """Build a detector with its start weights.

    Args:
        classes: Names of the classes, or their number. With names, a trained detector keeps what it knows of
            the classes that it has by the same name, whatever their numbers.
        weights: "none", "imagenet", "edgeloop-lite0" (those that ship, also for None), or a path to
            .safetensors.
        seed: Random seed of all that has no start weights.
        masks: Number of prototypes of the mask branch; 0 for none. The branch starts from weights that have
            one with as many prototypes, and at random otherwise.

    Returns:
        The detector, float32, and the name of its start weights.

    Raises:
        NoInputError: There is no such file.
        ModelError: The file cannot be read, or belongs to another architecture.
        UnavailableError: The package with the ImageNet weights is not installed.
        UsageError: The weights are unknown.
    """
    torch.manual_seed(seed)
    names = () if isinstance(classes, int) else tuple(classes)
    detector = CompactDetector(classes if isinstance(classes, int) else len(names), masks)
    name = weights or DEFAULT_MODEL
    if name == "imagenet":
        detector.backbone.load_state_dict(imagenet_state())
    elif name == DEFAULT_MODEL:
        _load(detector, read_state(weights_path(name)), name)
    elif name.endswith(".safetensors"):
        state, before = read_named_state(Path(name))
        named = renamed_classes(state, before, detector.state_dict(), names) if before and names else state
        _load(detector, named, name)
    elif name != "none":
        raise UsageError(
            f"--weights {name}: unknown; expected none, imagenet, {DEFAULT_MODEL} or a path to a "
            ".safetensors file"
        )
    return detector, name


def _load(detector: CompactDetector, state: Mapping[str, Tensor], source: str) -> None:
    """Load weights; last layers of the class branches and the mask branch only if the file's fit."""
    own = detector.state_dict()
    without: set[str] = set()
    for belongs in (is_class_layer, is_mask_layer):
        keys = {key for key, value in own.items() if belongs(key) and value.is_floating_point()}
        if not all(key in state and state[key].shape == own[key].shape for key in keys):
            without |= keys
    load_state(detector, state, source, without=without)


def renamed_classes(
    state: Mapping[str, Tensor], before: Sequence[str], fresh: Mapping[str, Tensor], names: Sequence[str]
) -> dict[str, Tensor]:
    """Rearrange the class layers of a trained detector for other classes, by their names.

    Args:
        state: State dict of the trained detector.
        before: Its class names, by class number.
        fresh: State dict with as many classes as `names`, from which a class that is not among `before`
            starts.
        names: Class names to have, by class number.

    Returns:
        The state dict of the trained detector with rows for these classes.
    """
    found = dict(state)
    for key in filter(is_class_layer, fresh):
        if key in state:  # if it is not, it is another architecture, which loading it says
            rows = [
                state[key][before.index(name)] if name in before else fresh[key][number]
                for number, name in enumerate(names)
            ]
            found[key] = torch.stack(rows)
    return found


def rescale(detector: CompactDetector) -> None:
    """Rescale convolutions of neck and head, in place, to the magnitude of freshly initialized ones.

    Batch norm compensates, so the detector computes the same function. But Adam's steps have a fixed size, so
    a few hundred of them would hardly change weights that grew in a long training.
    """
    for part in (detector.neck, detector.head):
        for module in part.modules():
            if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
                weight, norm = module.conv.weight.data, module.norm
                fresh = (3 * weight[0].numel()) ** -0.5  # standard deviation of torch's own initialization
                scale = fresh / weight.square().mean().sqrt()
                weight.mul_(scale)
                norm.running_mean.mul_(scale)  # type: ignore[union-attr]  # it tracks its statistics
                norm.running_var.add_(norm.eps).mul_(scale**2).sub_(norm.eps).clamp_(min=0)  # type: ignore[union-attr]
