"""Announcements to Home Assistant: one device for this one, and one for each camera.

They have the form of its MQTT device discovery: `device`, `origin`, `components` and `availability` in one
retained message, https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zlib import crc32

from pydantic import BaseModel, ConfigDict, ValidationError

from edgeloop.edge.host.durable_file import make_folder, replace_file
from edgeloop.edge.service.board import CameraState
from edgeloop.edge.service.messages.topics import Topics
from edgeloop.edge.service.service_config import ALL_KINDS, ServiceConfig

__all__ = ["Announcement", "Ledger", "announcements"]

MAX_CLASSES = 20
"""Number of classes of a camera that get a sensor."""

MAX_PLACES = 25
"""Number of zones, and of lines, of a camera that get sensors."""

Component = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Announcement:
    """Announcement of one device.

    Attributes:
        topic: Its topic.
        payload: Its content, which is JSON.
    """

    topic: str
    payload: dict[str, Any] = field(repr=False)

    @property
    def platforms(self) -> dict[str, str]:
        """Platforms of its components by id."""
        return {key: component["platform"] for key, component in self.payload["components"].items()}

    def text(self, earlier: Mapping[str, str]) -> str:
        """Write it, with what is left of components that are gone, by which they are removed.

        Args:
            earlier: Platforms of the components of the earlier announcement by id.
        """
        gone = {key: {"platform": name} for key, name in earlier.items() if key not in self.platforms}
        components = {**self.payload["components"], **gone}
        return json.dumps({**self.payload, "components": components})


def announcements(
    config: ServiceConfig, topics: Topics, cameras: Mapping[str, CameraState]
) -> list[Announcement]:
    """Announce this device and its cameras; none if the configuration has no discovery prefix."""
    if config.mqtt is None or not config.mqtt.discovery.strip("/"):
        return []
    prefix, hub = config.mqtt.discovery.strip("/"), f"edgeloop_{config.name}"
    status = {"topic": topics.status}
    found = [_announce(prefix, hub, {"name": config.name, "model": "device"}, _status(hub, topics.status))]
    for name, camera in cameras.items():
        device = f"{hub}_{name}"
        about = {"name": f"{config.name} {name}", "model": "camera", "via_device": hub}
        availability = topics.of_camera(name, "availability")
        components = _camera_components(config, topics, camera)
        components["connection"] = _connection(availability) | {"availability": [status]}
        for key, component in components.items():
            component["unique_id"] = f"{device}_{key}"
        shared = {"availability": [status, {"topic": availability}], "availability_mode": "all"}
        found.append(_announce(prefix, device, about, components, **shared))
    return found


class Ledger(BaseModel):
    """Messages that are retained at the broker, remembered in a file from one run to the next.

    Attributes:
        retained: Topics of retained messages.
        components: Platforms of the announced components by topic and id.
    """

    model_config = ConfigDict(frozen=True)

    retained: tuple[str, ...] = ()
    components: dict[str, dict[str, str]] = {}

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Read it; empty if there is none, or it is damaged."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return cls()

    def with_remains_of(self, earlier: Ledger) -> Ledger:
        """Add what an earlier run left at the broker."""
        components = {
            topic: {**earlier.components.get(topic, {}), **self.components.get(topic, {})}
            for topic in {**earlier.components, **self.components}
        }
        retained = tuple(dict.fromkeys((*earlier.retained, *self.retained)))
        return Ledger(retained=retained, components=components)

    def write(self, path: Path) -> None:
        """Replace the file, if it holds anything else.

        Raises:
            UnavailableError: It cannot be written.
        """
        if self == Ledger.read(path):
            return
        make_folder(path.parent)
        replace_file(path, self.model_dump_json().encode())


def _announce(
    prefix: str, device: str, about: Mapping[str, str], components: Mapping[str, Component], **shared: Any
) -> Announcement:
    release = version("edgeloop")
    origin = {
        "name": "edgeloop",
        "sw_version": release,
        "support_url": "https://github.com/edgeloop/edgeloop",
    }
    payload = {
        "device": {"identifiers": [device], "manufacturer": "edgeloop", "sw_version": release, **about},
        "origin": origin,
        **shared,
        "components": dict(components),
    }
    return Announcement(f"{prefix}/device/{device}/config", payload)


def _status(hub: str, topic: str) -> dict[str, Component]:
    return {"connection": {**_connection(topic), "unique_id": f"{hub}_connection"}}


def _connection(topic: str) -> Component:
    return {
        "platform": "binary_sensor",
        "name": "Connection",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "state_topic": topic,
        "payload_on": "online",
        "payload_off": "offline",
    }


def _camera_components(config: ServiceConfig, topics: Topics, camera: CameraState) -> dict[str, Component]:
    counts = topics.of_camera(camera.name, "counts")
    components = {"objects": _sensor("Objects", counts, "value_json.total")}
    for name in _wanted_classes(config, camera)[:MAX_CLASSES]:
        value = f"value_json.classes[{_quoted(name)}] | default(0)"
        components[f"count_{_slug(name)}"] = _sensor(name, counts, value)
    zones = camera.stream.zones
    if zones is None:
        return components
    components["event"] = {
        "platform": "event",
        "name": "Event",
        "state_topic": topics.of_camera(camera.name, "events"),
        "event_types": list(ALL_KINDS),
    }
    if config.mqtt is not None and config.mqtt.snapshots:
        components["snapshot"] = {
            "platform": "image",
            "name": "Snapshot",
            "image_topic": topics.of_camera(camera.name, "snapshot"),
            "content_type": "image/jpeg",
        }
    for zone in zones.zones.zones[:MAX_PLACES]:
        components |= _zone_components(zone.name, topics.of_camera(camera.name, "zones"))
    for line in zones.zones.lines[:MAX_PLACES]:
        for side in ("in", "out"):
            value = f"value_json[{_quoted(line.name)}][{_quoted(side)}]"
            sensor = _sensor(f"{line.name} {side}", topics.of_camera(camera.name, "lines"), value, grows=True)
            components[f"line_{_slug(line.name)}_{side}"] = sensor
    return components


def _zone_components(name: str, topic: str) -> dict[str, Component]:
    zone, slug = f"value_json[{_quoted(name)}]", _slug(name)
    occupancy = {
        "platform": "binary_sensor",
        "name": f"{name} occupancy",
        "device_class": "occupancy",
        "state_topic": topic,
        "value_template": f"{{{{ 'ON' if {zone}.inside > 0 else 'OFF' }}}}",
    }
    sensors = {
        f"zone_{slug}_{key}": _sensor(f"{name} {key}", topic, f"{zone}.{key}", grows=key != "inside")
        for key in ("inside", "entered", "left")
    }
    return {f"zone_{slug}_occupancy": occupancy, **sensors}


def _sensor(name: str, topic: str, value: str, *, grows: bool = False) -> Component:
    return {
        "platform": "sensor",
        "name": name,
        "state_topic": topic,
        "state_class": "total_increasing" if grows else "measurement",
        "value_template": f"{{{{ {value} }}}}",
    }


def _wanted_classes(config: ServiceConfig, camera: CameraState) -> Sequence[str]:
    """List the classes that the configuration or the zones name; without them those of the model."""
    named = config.cameras[camera.name].classes or ()
    zones = camera.stream.zones
    if not named and zones is not None:
        named = tuple(dict.fromkeys(name for place in zones.zones.places for name in place.classes or ()))
    return named or camera.stream.meter.names


def _slug(name: str) -> str:
    """Make an id of letters and digits that no other name has."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40]
    return plain if plain == name else f"{plain}_{crc32(name.encode()):08x}"


def _quoted(name: str) -> str:
    """Write a name as text of a template."""
    return json.dumps(name, ensure_ascii=False)
