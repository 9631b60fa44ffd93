"""Topics of one device at the broker."""

from __future__ import annotations

from dataclasses import dataclass

from edgeloop.edge.service.service_config import ServiceConfig

__all__ = ["Topics"]


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics of one device: its own, and those of its cameras below it.

    Attributes:
        base: Beginning of all of them, such as "edgeloop/door".
    """

    base: str

    @classmethod
    def of(cls, config: ServiceConfig) -> Topics:
        """Name the topics of the device of a configuration that has a broker."""
        prefix = "edgeloop" if config.mqtt is None else config.mqtt.topic
        return cls(f"{prefix.strip('/')}/{config.name}")

    @property
    def status(self) -> str:
        """Topic that is "online" while the service runs, else "offline"; retained, and the will."""
        return f"{self.base}/status"

    def of_camera(self, camera: str, leaf: str) -> str:
        """Topic of a camera: `availability`, `counts`, `zones`, `lines`, `events` or `snapshot`."""
        return f"{self.base}/{camera}/{leaf}"
