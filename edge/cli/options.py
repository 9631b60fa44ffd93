"""Options that every verb with a model shares."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

from edgeloop.edge.cli.float_range import FloatRange
from edgeloop.edge.engines.open_engine import provider_names
from edgeloop.models.facts.metadata_text import read_names
from edgeloop.models.heads import HEADS

if TYPE_CHECKING:
    from edgeloop.models.facts.overrides import SpecOverrides

__all__ = ["choice_options", "model_options", "placement_options", "stated_options"]

R = TypeVar("R")


def model_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add the options for how a model is loaded and run to a command.

    Args:
        command: Takes the keyword arguments `provider` (str), `allow_cpu` (bool), `confidence` (float or
            None) and `overrides` (SpecOverrides, None if nothing is stated), as
            `edgeloop.edge.runtime.detector.Detector` does, beside its own.

    Returns:
        The command with the options `--provider`, `--allow-cpu`, `--confidence`, `--iou`, `--max-detections`,
        `--classes`, `--class-confidence`, `--min-size`, `--max-size`, `--tile`, `--tile-overlap`, and those
        that state what a file without metadata leaves open: `--head`, `--names`, `--input-size`, `--color`,
        `--scale` and `--letterbox`.
    """

    @wraps(command)
    def with_overrides(
        *args: object,
        names: Path | None,
        input_size: str | None,
        letterbox: str | None,
        classes: str | None,
        class_confidence: str | None,
        **kwargs: object,
    ) -> R:
        overrides = _overrides(
            input_size,
            names=None if names is None else read_names(names),
            centered=None if letterbox is None else letterbox == "centered",
            stretched=None if letterbox is None else letterbox == "stretched",
            **_choices(classes, class_confidence, kwargs),
            **{fact: kwargs.pop(fact) for fact in ("head", "color", "scale", "iou", "max_detections")},
        )
        return command(*args, overrides=overrides, **kwargs)

    decorated = with_overrides
    for option in reversed(_SPEC):  # click lists the option that was added last first
        decorated = option(decorated)
    return placement_options(decorated)


def choice_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add the options for what a bundle reports to a command.

    Args:
        command: Takes the keyword argument `settings` (SpecOverrides, None if nothing is stated) beside its
            own.

    Returns:
        The command with the options `--confidence`, `--class-confidence`, `--classes`, `--min-size`,
        `--max-size`, `--tile` and `--tile-overlap`.
    """

    @wraps(command)
    def with_settings(
        *args: object,
        confidence: float | None,
        classes: str | None,
        class_confidence: str | None,
        **kwargs: object,
    ) -> R:
        settings = _overrides(None, confidence=confidence, **_choices(classes, class_confidence, kwargs))
        return command(*args, settings=settings, **kwargs)

    decorated = with_settings
    for option in reversed(_CHOICES):
        decorated = option(decorated)
    return decorated


def placement_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--provider` and `--allow-cpu` to a command that takes `provider` and `allow_cpu`."""
    for option in reversed(_PLACEMENT):
        command = option(command)
    return command


def stated_options(context: click.Context) -> list[str]:
    """Collect the options of `model_options` that a call states, as arguments for another verb."""
    words: list[str] = []
    for option in context.command.params:
        name = option.name or ""
        if (
            isinstance(option, _ModelOption)
            and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        ):
            value = context.params[name]
            words += option.opts if value is True else [*option.opts, str(value)]
    return words


def _choices(
    classes: str | None, class_confidence: str | None, options: dict[str, object]
) -> dict[str, object]:
    """Take the settings of `_CHOICES` out of the options of a call, but for the confidence."""
    return {
        "classes": None if classes is None else split_classes(classes),
        "class_confidence": None if class_confidence is None else split_scores(class_confidence),
        **{name: options.pop(name) for name in ("min_size", "max_size", "tile", "tile_overlap")},
    }


def split_classes(text: str) -> tuple[str, ...]:
    """Split class names or numbers at commas.

    Raises:
        BadParameter: There is none, or one is empty.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise click.BadParameter(f"{text!r}: expected such as person,car", param_hint="'--classes'")
    return names


def split_scores(text: str) -> dict[str, float]:
    """Split scores of classes, NAME=P, at commas.

    Raises:
        BadParameter: One is malformed, or no number from 0 to 1.
    """
    scores: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.rpartition("=")
        try:
            scores[name.strip()] = float(value)
        except ValueError:
            scores[""] = -1
        if not name.strip() or not 0 <= scores[name.strip()] <= 1:
            raise click.BadParameter(
                f"{part!r}: expected such as person=0.6,car=0.3, each from 0 to 1",
                param_hint="'--class-confidence'",
            )
    return scores


class Extent(FloatRange):
    """Size in pixels, or below 1 a share of the image's longer side."""

    name = "size"

    def __init__(self) -> None:
        """Set the range."""
        super().__init__(0, 65536, min_open=True)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        number = super().convert(value, param, ctx)
        if number == 1:
            self.fail("1 is neither a share of the image nor a size in pixels.", param, ctx)
        return number


def _overrides(input_size: str | None, **facts: object) -> SpecOverrides | None:
    if input_size is None and all(fact is None for fact in facts.values()):
        return None
    # Brings pydantic, which loads beside the model if nothing is stated.
    from edgeloop.models.facts.overrides import MAX_SIDE, MIN_SIDE, SpecOverrides

    size = None if input_size is None else _parse_size(input_size, MIN_SIDE, MAX_SIDE)
    return SpecOverrides.model_validate({**facts, "input_size": size})


def _parse_size(text: str, low: int, high: int) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not all(low <= side <= high for side in size):
        expected = f"expected such as 640x480 or 416, sides of {low} to {high} pixels"
        raise click.BadParameter(f"{text!r}: {expected}", param_hint="'--input-size'")
    return size


class _ModelOption(click.Option):
    """Option of the model, told by its class from a verb's other options."""


_option = partial(click.option, cls=_ModelOption)
_PLACEMENT = (
    _option(
        "--provider",
        type=click.Choice(["auto", *provider_names()]),
        default="auto",
        show_default=True,
        help="Execution provider of onnxruntime, or device of MODEL's engine. Fails if a named one cannot "
        "run the whole model.",
    ),
    _option("--allow-cpu", is_flag=True, help="Let the CPU run the nodes that the provider cannot."),
)
_CHOICES = (
    _option(
        "--confidence",
        type=FloatRange(0, 1),
        metavar="P",
        help="Minimum confidence of a detection. Higher values reduce false positives but may miss faint "
        "objects.  [default: the model's]",
    ),
    _option(
        "--class-confidence",
        metavar="NAME=P,...",
        help="Minimum confidence of single classes, in place of --confidence.",
    ),
    _option(
        "--classes",
        metavar="NAME,...",
        help="Report these classes alone, by name or number.  [default: all]",
    ),
    _option(
        "--min-size",
        type=Extent(),
        metavar="X",
        help="Drop boxes whose longer side is below X pixels, or below 1 a share of the image's longer side.",
    ),
    _option("--max-size", type=Extent(), metavar="X", help="Drop boxes whose longer side is above X."),
    _option(
        "--tile",
        type=click.IntRange(64, 8192),
        metavar="PX",
        help="Search larger images also in tiles of PX x PX pixels, for small objects. Each tile takes one "
        "inference.",
    ),
    _option(
        "--tile-overlap",
        type=FloatRange(0, 0.9),
        metavar="SHARE",
        help="Share of a tile that its neighbor repeats; objects should be smaller.  [default: 0.2]",
    ),
)
_SPEC = (
    *_CHOICES,
    _option(
        "--iou",
        type=FloatRange(0, 1),
        metavar="IOU",
        help="IoU above which non-maximum suppression drops the less certain of two boxes.  "
        "[default: the model's]",
    ),
    _option(
        "--max-detections",
        type=click.IntRange(1, 10_000),
        metavar="N",
        help="Maximum number of detections per image, the most confident ones.  [default: the model's]",
    ),
    _option("--head", type=click.Choice(HEADS), help="Output format of the detection head."),
    _option("--names", type=click.Path(path_type=Path), help="Text file with one class name per line."),
    _option("--input-size", metavar="WxH", help="Width and height of the model's input, px."),
    _option("--color", type=click.Choice(["RGB", "BGR"]), help="Channel order of the model's input."),
    _option(
        "--scale",
        type=FloatRange(0, 65536, min_open=True),
        metavar="X",
        help="Divisor of pixel values: 255 gives 0 to 1.",
    ),
    _option(
        "--letterbox",
        type=click.Choice(["centered", "corner", "stretched"]),
        help="Placement of the image in the model's input.",
    ),
)
