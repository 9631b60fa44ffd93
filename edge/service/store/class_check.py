"""Check that a model has the classes that the cameras of a configuration need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.tracking import read_zones
from edgeloop.models.errors import DataError

__all__ = ["check_classes", "required_classes"]


def required_classes(config: ServiceConfig, model: str) -> Mapping[str, str]:
    """List the classes that the cameras of a model name, and those of their zones and ignore masks.

    Args:
        config: Configuration of the service.
        model: Name of the model in it.

    Returns:
        Key or file that names the class, by class.

    Raises:
        NoInputError: A file of the configuration is missing.
        DataError: A file of the configuration is malformed.
    """
    wanted: dict[str, str] = {}
    for name, camera in config.cameras.items():
        if config.model_of(name) != model:
            continue
        wanted |= dict.fromkeys(camera.classes or (), f"cameras.{name}.classes")
        for path in (camera.zones, camera.ignore):
            if path is not None and (path is camera.zones or _has_zones(path)):
                for place in read_zones(path, None).places:
                    wanted |= dict.fromkeys(place.classes or (), f"zones {path}: {place.name!r}")
    return wanted


def check_classes(config: ServiceConfig, model: str, names: Sequence[str]) -> None:
    """Refuse a model that lacks a class that a camera, its zones or its ignore mask names.

    Args:
        config: Configuration of the service.
        model: Name of the model in it.
        names: Class names of the model.

    Raises:
        NoInputError: A file of the configuration is missing.
        DataError: A class is missing, or a file of the configuration is malformed.
    """
    for wanted, place in required_classes(config, model).items():
        if wanted not in names:
            raise DataError(f"{place}: the model has no class {wanted!r}; it has {', '.join(names)}")


def _has_zones(ignore: Path) -> bool:
    return ignore.suffix.lower() == ".json"
