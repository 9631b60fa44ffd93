"""Check that a model has the classes that the cameras of a configuration need."""

from __future__ import annotations

from collections.abc import Sequence

from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.tracking import IgnoreMask, read_zones
from edgeloop.models.errors import DataError

__all__ = ["check_classes"]


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
    for name, camera in config.cameras.items():
        if config.model_of(name) != model:
            continue
        for wanted in camera.classes or ():
            if wanted not in names:
                raise DataError(
                    f"cameras.{name}.classes: the model has no class {wanted!r}; it has {', '.join(names)}"
                )
        if camera.zones is not None:
            read_zones(camera.zones, names)
        if camera.ignore is not None:
            IgnoreMask(camera.ignore, names)
