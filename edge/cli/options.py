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
from edgeloop.edge.runtime.providers import PROVIDERS
from edgeloop.models.facts.metadata_text import read_names
from edgeloop.models.heads import HEADS, Head

if TYPE_CHECKING:
    from edgeloop.models.facts.overrides import Color, SpecOverrides

__all__ = ["model_options", "placement_options", "stated_options"]

R = TypeVar("R")


def model_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options that say where and how a model runs.

    Args:
        command: takes the keyword arguments `provider` (str), `allow_cpu` (bool), `confidence` (float or
            None) and `overrides` (SpecOverrides, None where nothing is stated), as
            `edgeloop.edge.runtime.detector.Detector` does, beside its own.

    Returns:
        The command with the options `--provider`, `--allow-cpu`, `--confidence`, `--iou`, and those that
        state what a file without metadata leaves open: `--head`, `--names`, `--input-size`, `--color`,
        `--scale` and `--letterbox`.
    """

    @wraps(command)
    def with_overrides(
        *args: object,
        head: Head | None,
        names: Path | None,
        input_size: tuple[int, int] | None,
        color: Color | None,
        scale: float | None,
        letterbox: str | None,
        iou: float | None,
        **kwargs: object,
    ) -> R:
        overrides = _overrides(
            head=head,
            names=None if names is None else read_names(names),
            input_size=input_size,
            color=color,
            scale=scale,
            centered=None if letterbox is None else letterbox == "centered",
            stretched=None if letterbox is None else letterbox == "stretched",
            iou=iou,
        )
        return command(*args, overrides=overrides, **kwargs)

    decorated = with_overrides
    for option in reversed(_FACTS):  # click lists the option that was added last first
        decorated = option(decorated)
    return placement_options(decorated)


def placement_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options that say where a model runs.

    Args:
        command: takes the keyword arguments `provider` (str) and `allow_cpu` (bool).

    Returns:
        The command with the options `--provider` and `--allow-cpu`.
    """
    for option in reversed(_PLACEMENT):
        command = option(command)
    return command


def stated_options(context: click.Context) -> list[str]:
    """Which of the options of `model_options` a call states.

    Args:
        context: Of the call.

    Returns:
        Them as words, for another verb that has them.
    """
    words: list[str] = []
    for option in context.command.params:
        name = option.name or ""
        stated = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if stated and isinstance(option, _ModelOption):
            value = context.params[name]
            text = "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += option.opts if value is True else [*option.opts, text]
    return words


def _overrides(**facts: object) -> SpecOverrides | None:
    if all(fact is None for fact in facts.values()):
        return None
    from edgeloop.models.facts.overrides import (
        SpecOverrides,  # brings pydantic, which loads beside the model where it can
    )

    return SpecOverrides.model_validate(facts)


def _size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """WIDTHxHEIGHT in pixels, or one number for a square."""
    if value is None:
        return None
    from edgeloop.models.facts.overrides import MAX_SIDE, MIN_SIDE

    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", value)
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
        raise click.BadParameter(
            f"{value!r}: expected such as 640x480 or 416, sides of {MIN_SIDE} to {MAX_SIDE} pixels"
        )
    return size


class _ModelOption(click.Option):
    """Says of the model how it is loaded and run, and is known by that from a verb's other options."""


_option = partial(click.option, cls=_ModelOption)
_PLACEMENT = (
    _option(
        "--provider",
        type=click.Choice(["auto", *PROVIDERS]),
        default="auto",
        show_default=True,
        help="What runs the model. One that is named and does not run all of it is an error.",
    ),
    _option("--allow-cpu", is_flag=True, help="Let the CPU run what the provider does not."),
)
_FACTS = (
    _option("--confidence", type=FloatRange(0, 1), help="Threshold of detections.  [default: the model's]"),
    _option("--iou", type=FloatRange(0, 1), help="Threshold of NMS.  [default: the model's]"),
    _option("--head", type=click.Choice(HEADS), help="How the model writes its boxes."),
    _option("--names", type=click.Path(path_type=Path), help="File of class names, one a line."),
    _option("--input-size", callback=_size, metavar="WxH", help="Size of the model's input, px."),
    _option("--color", type=click.Choice(["RGB", "BGR"]), help="Channel order of the model's input."),
    _option(
        "--scale",
        type=FloatRange(0, 65536, min_open=True),
        help="What pixel values are divided by: 255 gives 0 to 1.",
    ),
    _option(
        "--letterbox",
        type=click.Choice(["centered", "corner", "stretched"]),
        help="Where the image goes in the input.",
    ),
)
