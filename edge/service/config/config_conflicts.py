"""Parts of a configuration that contradict each other, or that cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgeloop.edge.service.config.toml_lines import KeyPath
from edgeloop.edge.service.service_config import CameraConfig, ServiceConfig
from edgeloop.edge.source_name import CAMERA, is_address, is_pipeline

__all__ = ["config_conflicts", "config_doubts"]

MB_PER_SECOND = 1.0
"""Size of a second of a clip of a good camera."""


def config_conflicts(config: ServiceConfig) -> Iterator[tuple[KeyPath, str]]:
    """Find what makes a configuration unusable although each value in it is right.

    Args:
        config: The configuration.

    Yields:
        Path of a key, and a message without secrets.
    """
    yield from _missing_models(config)
    yield from _shared_devices(config)
    yield from _shared_loops(config)
    if (mqtt := config.mqtt) is not None:
        if mqtt.password is not None and mqtt.username is None:
            yield ("mqtt", "password"), "expected also a username, got none"
        if mqtt.ca is not None and not mqtt.tls:
            yield ("mqtt", "ca"), "expected also tls = true, got none"
    if (clips := config.clips) is not None:
        seconds = clips.before_s + clips.after_s
        if clips.budget_mb < seconds * MB_PER_SECOND:
            needed = f"at least {seconds * MB_PER_SECOND:g} for clips of {seconds:g} s"
            yield ("clips", "budget_mb"), f"expected {needed}, got {clips.budget_mb:g}"


def config_doubts(config: ServiceConfig) -> Iterator[tuple[KeyPath, str]]:
    """Find what is hardly meant in a configuration that can be used.

    Args:
        config: The configuration.

    Yields:
        Path of a key, and a message without secrets.
    """
    streams: dict[tuple[str, str], str] = {}
    for name, camera in config.cameras.items():
        if is_address(camera.source) and not camera.source.startswith("synth:"):
            first = streams.setdefault((camera.source, config.model_of(name)), name)
            if first != name:
                yield ("cameras", name, "source"), f"is that of cameras.{first}, with the same model"
    used = {config.model_of(name) for name in config.cameras}
    for name in config.models.keys() - used:
        yield ("models", name), "no camera uses this model"
    if not any(camera.zones for camera in config.cameras.values()):
        for part in ("webhooks", "clips"):
            if getattr(config, part):
                yield (part,), "no camera has zones, so there are no events"


def _missing_models(config: ServiceConfig) -> Iterator[tuple[KeyPath, str]]:
    known = ", ".join(config.models)
    for name, camera in config.cameras.items():
        if camera.model is None and len(config.models) > 1:
            yield ("cameras", name, "model"), f"missing; expected one of {known}"
        elif camera.model is not None and camera.model not in config.models:
            yield ("cameras", name, "model"), f"expected one of {known}, got {camera.model}"


def _shared_loops(config: ServiceConfig) -> Iterator[tuple[KeyPath, str]]:
    loops: dict[Path, str] = {}
    for name, model in config.models.items():
        if model.loop is not None:
            first = loops.setdefault(model.loop.resolve(), name)
            if first != name:
                told = f"is the loop of models.{first}; name that model in the cameras of both"
                yield ("models", name, "loop"), told


def _shared_devices(config: ServiceConfig) -> Iterator[tuple[KeyPath, str]]:
    devices: dict[str, str] = {}
    for name, camera in config.cameras.items():
        if (device := _device(camera)) is not None:
            first = devices.setdefault(device, name)
            if first != name:
                yield ("cameras", name, "source"), f"is the device of cameras.{first}; only one can open it"


def _device(camera: CameraConfig) -> str | None:
    """Path of the device of a camera of this machine; None for any other source."""
    if is_pipeline(camera.source) or (found := CAMERA.fullmatch(camera.source)) is None:
        return None
    return str(Path(found["path"]).resolve()) if found["path"] else f"/dev/video{int(found['index'])}"
