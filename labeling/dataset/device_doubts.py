"""Labels of a dataset on which a device disagreed, DATASET/device.json, for the review."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.models.json_file import read_json

__all__ = [
    "DEVICE_FILE",
    "NO_DEVICE",
    "DeviceBox",
    "DeviceDoubts",
    "read_device_doubts",
    "write_device_doubts",
]

DEVICE_FILE = "device.json"
"""Name of the file in the folder of a dataset."""


class DeviceBox(BaseModel):
    """Box of one frame.

    Attributes:
        file: Name of the frame.
        name: Class name.
        xyxy: Corners in pixels of the frame.
        probability: That it is an object of that class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    file: str
    name: str
    xyxy: tuple[float, float, float, float]
    probability: Annotated[float, Field(ge=0, le=1)]


class DeviceDoubts(BaseModel):
    """Disagreement of a device and the labels.

    Attributes:
        missed: Labels, and unsure ones, that the device has no box for.
        alone: Boxes of the device that no label is at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    missed: tuple[DeviceBox, ...] = ()
    alone: tuple[DeviceBox, ...] = ()


NO_DEVICE = DeviceDoubts()
"""No disagreement, as no device was asked."""


def read_device_doubts(dataset: Path) -> DeviceDoubts:
    """Read the file of a dataset; nothing if it has none, as no device was asked.

    Raises:
        DataError: It is malformed.
    """
    return read_json(dataset / DEVICE_FILE, DeviceDoubts, "mine the ring again") or NO_DEVICE


def write_device_doubts(dataset: Path, doubts: DeviceDoubts) -> None:
    """Write the file of a dataset.

    Raises:
        UnavailableError: It cannot be written.
    """
    replace_file(dataset / DEVICE_FILE, doubts.model_dump_json().encode())
