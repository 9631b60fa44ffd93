"""Options of the commands that change a store."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TypeVar

import click

from edgeloop.edge.service.config.config_file import read_config
from edgeloop.edge.service.service_config import ModelConfig, ProbationConfig, ServiceConfig
from edgeloop.edge.service.store.admission import Admitted, admit_model
from edgeloop.edge.service.store.class_check import check_classes
from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.models.bundle.document import WeightPrecision
from edgeloop.models.bundle.golden import TOLERANCES
from edgeloop.models.errors import DataError, ModelError, UsageError

__all__ = ["StorePlace", "admission_options", "place_options"]

R = TypeVar("R")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Store that a command names, with the configuration if it was given.

    Attributes:
        store: The store.
        config: Configuration of the service; None if only the state folder was given.
    """

    store: ModelStore
    config: ServiceConfig | None

    @property
    def model(self) -> ModelConfig:
        """Configuration of the model."""
        return ModelConfig() if self.config is None else self.config.models[self.store.name]

    @property
    def probation(self) -> ProbationConfig:
        """Rules for a new model."""
        return ProbationConfig() if self.config is None else self.config.probation

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse a model without the classes that the cameras need."""
        if self.config is not None:
            check_classes(self.config, self.store.name, names)

    def admit(self, path: Path, *, tolerance: WeightPrecision | None, unproven: bool) -> Admitted:
        """Check a model file as it would run here, and its classes."""
        admitted = admit_model(
            path,
            provider=self.model.provider,
            allow_cpu=self.model.allow_cpu,
            tolerance=tolerance,
            unproven=unproven,
        )
        try:
            self.check(tuple(admitted.names))
        except DataError as error:
            raise ModelError(f"{path}: {error}") from error
        return admitted


def place_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--config` and `--state` to a command that takes `place` (StorePlace) in place of `name`."""

    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Configuration of the service: names the state folder, provider, cameras and rules.",
    )
    @click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="State folder of the service, without its configuration.",
    )
    @wraps(command)
    def with_place(
        *args: object, name: str | None, config: Path | None, state: Path | None, **options: object
    ) -> R:
        return command(*args, place=_place(name, config, state), **options)

    return with_place


def admission_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--name`, `--unproven` and `--tolerance` to a command that takes a model file."""
    for option in reversed(_ADMISSION):
        command = option(command)
    return command


_ADMISSION = (
    click.option("--name", metavar="NAME", help="Name of the model in the configuration."),
    click.option(
        "--unproven",
        is_flag=True,
        help="Accept a file without a checksum and a golden sample, such as one of another tool.",
    ),
    click.option(
        "--tolerance",
        type=click.Choice(list(TOLERANCES)),
        help="Precision whose rounding error is accepted, if the provider computes in less than the "
        "bundle's.  [default: the bundle's]",
    ),
)


def _place(name: str | None, config: Path | None, state: Path | None) -> StorePlace:
    if (config is None) == (state is None):
        raise UsageError("give --config FILE or --state DIR, one of the two")
    settings = None if config is None else read_config(config)
    if settings is not None and name is None and len(settings.models) == 1:
        name = next(iter(settings.models))
    if name is None:
        raise UsageError("--name: expected the name of the model in the configuration, got none")
    if not _NAME.fullmatch(name):
        raise UsageError(f"name {name!r}: expected up to 40 letters, digits, _ and -")
    if settings is None:
        return StorePlace(_open_store(state or Path(), name), None)
    if name not in settings.models:
        raise DataError(f"{config}: has no model {name!r}; it has {', '.join(settings.models)}")
    if settings.models[name].file is not None:
        raise DataError(f"{config}: models.{name}.file names a file of its own; remove it to use the store")
    if settings.models[name].loop is not None:
        raise DataError(f"{config}: models.{name}.loop names a loop, which has its own models; remove it")
    return StorePlace(_open_store(settings.state, name), settings)


def _open_store(state: Path, name: str) -> ModelStore:
    """Name a store, unless the service could not write what this user leaves in it."""
    if os.geteuid() == 0 and state.is_dir() and (owner := state.stat().st_uid):
        raise DataError(
            f"{state}: belongs to user {owner}, whom files of root would keep out; "
            f"run this as that user: sudo -u '#{owner}' edgeloop ..."
        )
    return ModelStore(state, name)
