"""Configuration of the service: cameras, models, and everything around them."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from edgeloop.edge.source_name import STDIN, is_footage, shown_name
from edgeloop.models.facts.metadata_text import read_names
from edgeloop.models.facts.overrides import SpecOverrides
from edgeloop.models.heads import Head

__all__ = [
    "CameraConfig",
    "ClipsConfig",
    "HealthConfig",
    "LogConfig",
    "ModelConfig",
    "MqttConfig",
    "ProbationConfig",
    "RingConfig",
    "ServiceConfig",
    "WebConfig",
    "WebhookConfig",
]

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
"""Name that is safe in topics, addresses, labels and file names."""


def _number_as_text(value: object) -> object:
    """Take a camera's number for its name, so that `source = 0` is one."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_host(host: str) -> str:
    if not host or set("/@") & set(host) or host.count(":") == 1 or not host.isprintable():
        raise ValueError("expected a name or an address alone, such as 192.168.1.10; its port is a key")
    return host


def _is_web_address(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  a port that is no number is found only when it is read
        is_right = parts.scheme in ("http", "https") and parts.hostname and text.isascii()
    except ValueError:
        is_right = False
    if not is_right or not text.isprintable():
        raise ValueError("expected an http:// or https:// address with a host")
    return url


def _is_header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ValueError("expected the name of an HTTP header")
    return name


def _is_header_value(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not (text.isascii() and text.isprintable()):
        raise ValueError("expected the value of an HTTP header")
    return value


def _is_long(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < 16:
        raise ValueError("expected at least 16 characters; `openssl rand -hex 16` makes one")
    return token


def _path_from_folder(path: Path, info: ValidationInfo) -> Path:
    """Take a relative path from the folder of the file."""
    return path if info.context is None else Path(info.context) / path


def _source_from_folder(source: str, info: ValidationInfo) -> str:
    """Take the path of footage from the folder of the file; refuse the standard input."""
    if STDIN.fullmatch(source):
        raise ValueError("expected a camera, an address or a path, got the standard input")
    if info.context is None or not is_footage(source) or source.startswith("synth:"):
        return source
    if shown_name(source) != source:  # an address that is none: a folder before it would show its secrets
        return source
    return str(Path(info.context) / source)


LocalPath = Annotated[Path, AfterValidator(_path_from_folder)]
"""Path; a relative one is from the folder of the file, which is the context of the validation."""

SourceName = Annotated[
    str,
    StringConstraints(min_length=1),
    BeforeValidator(_number_as_text),
    AfterValidator(_source_from_folder),
]
Host = Annotated[str, AfterValidator(_is_host)]
HeaderName = Annotated[str, AfterValidator(_is_header_name)]
HeaderValue = Annotated[SecretStr, AfterValidator(_is_header_value)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Megabytes = Annotated[float, Field(gt=0, le=100_000_000)]
EventKind = Literal["enter", "leave", "dwell", "cross"]
ALL_KINDS: tuple[EventKind, ...] = ("enter", "leave", "dwell", "cross")


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # it may be a secret
    )


class CameraConfig(_Section):
    """One camera, and what to look for in its frames."""

    source: SourceName
    """Source as for `edgeloop run`: 0, rtsp://..., http://..., synth:conveyor?fps=10."""
    model: Name | None = None
    """Name of its model; needed if there are several."""
    zones: LocalPath | None = None
    """Zone file: objects are tracked and counted in it."""
    ignore: LocalPath | None = None
    """Ignore mask: objects of which more than half is in it are dropped."""
    track: bool = False
    """Give objects ids; zones imply it."""
    classes: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Classes that count; without it all of the model."""
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    """Minimum score; without it that of the model."""
    max_age_s: Seconds = 1.0
    """Drop frames older than this many seconds."""
    silent_s: Seconds = 5.0
    """Connect again after this many seconds without a frame."""
    frozen_s: Annotated[float, Field(ge=0, le=86400)] = 60.0
    """Connect again after this many seconds of exactly the same picture; 0 never."""
    skip_unchanged: bool = False
    """Do not detect again in what did not change, but at least every 2 seconds. For fixed cameras."""
    clips: bool = True
    """Save pictures and clips of its events, if there is a [clips] section."""
    ring: bool = True
    """Keep frames of it in the ring, if there is a [ring] section."""


class ModelConfig(_Section):
    """One model; cameras share it."""

    file: LocalPath | None = None
    """Model file, of an engine beside onnxruntime with its facts beside it; without it the one that `edgeloop
    install` put into the store under this name."""
    loop: LocalPath | None = None
    """Folder of a loop that `edgeloop teach` made, instead of a file: its teacher answers until a student
    takes over, and learning goes on in a process of its own."""
    head: Head | None = None
    """Output format of the head, for a file that does not state it; as of `edgeloop run --head`."""
    names: LocalPath | None = None
    """Text file with one class name per line, for a file that states none."""
    provider: str = "auto"
    """Execution provider; a fixed one refuses a model that it does not run whole."""
    allow_cpu: bool = False
    """Let the CPU run the operators that the provider does not support."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of one inference; without it as many as serve it best."""
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    """Minimum score; without it the model's own."""
    hang_s: Seconds = 10.0
    """Restart the model if one frame takes longer than this many seconds."""

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        if self.file is not None and self.loop is not None:
            raise ValueError("file and loop are both given; leave one out")
        if self.file is None and (self.head or self.names):
            raise ValueError(
                "head and names are for a file; models of the store and of loops state their own"
            )
        return self

    def stated_facts(self) -> SpecOverrides | None:
        """Settings that the configuration states for a file; None for none.

        Raises:
            NoInputError: The file of names cannot be read.
            DataError: It is no list of class names.
        """
        if self.head is None and self.names is None:
            return None
        return SpecOverrides(head=self.head, names=None if self.names is None else read_names(self.names))

    @property
    def is_stored(self) -> bool:
        """True if the model comes from the store of `edgeloop install`."""
        return self.file is None and self.loop is None


class ProbationConfig(_Section):
    """Rules for a new model: when it may replace the current one, and when the previous one comes back."""

    shadow_every: Annotated[int, Field(ge=1, le=100_000)] = 10
    """A candidate in shadow sees every k-th frame."""
    min_frames: Annotated[int, Field(ge=1, le=100_000_000)] = 200
    """Frames that a candidate must have seen before it is promoted."""
    min_agreement: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Minimum share of boxes on which the candidate and the current model agree."""
    minutes: Annotated[float, Field(gt=0, le=10080)] = 15.0
    """Time on probation after a model was swapped."""
    latency_ms: Annotated[float, Field(gt=0, le=60_000)] | None = None
    """Maximum median latency of a frame; without it 1.5 times that of the previous model, or 5 ms more."""
    min_rate: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Minimum detections per frame, as a share of those of the previous model."""


class WebConfig(_Section):
    """Page, API, health, metrics and preview."""

    host: Host = "127.0.0.1"
    """Address to listen on; one that others reach needs a token."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8555
    """Port to listen on; 0 for any that is free."""
    token: Annotated[SecretStr, AfterValidator(_is_long)] | None = None
    """Secret that every request must carry, at least 16 characters; /healthz needs none."""

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.token is None and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(f"host {self.host} is open to others, so a token is needed")
        return self


class MqttConfig(_Section):
    """MQTT broker."""

    host: Host
    """Name or address of the broker."""
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    """Port of the broker."""
    username: str | None = None
    """User name."""
    password: SecretStr | None = None
    """Password."""
    tls: bool = False
    """Connect with TLS."""
    ca: LocalPath | None = None
    """Certificates that the broker's is checked against; without it those of the system."""
    topic: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_/-]{1,100}$")] = "edgeloop"
    """First part of every topic."""
    discovery: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_/-]{0,100}$")] = "homeassistant"
    """Discovery prefix of Home Assistant; empty to announce nothing."""
    snapshots: bool = True
    """Publish a JPEG of each event."""
    spool_mb: Megabytes = 64.0
    """Maximum size in MB of the events that wait on disk while the broker is away."""


class WebhookConfig(_Section):
    """Address that each event is posted to."""

    url: Annotated[SecretStr, AfterValidator(_is_web_address)]
    """http:// or https:// address; may hold a secret."""
    events: tuple[EventKind, ...] = ALL_KINDS
    """Kinds of events to post."""
    headers: dict[HeaderName, HeaderValue] = {}
    """Further headers, such as Authorization."""
    timeout_s: Seconds = 10.0
    """Time for one request."""
    spool_mb: Megabytes = 64.0
    """Maximum size in MB of the events that wait on disk while nobody answers."""


class ClipsConfig(_Section):
    """Pictures and clips of events."""

    folder: LocalPath | None = None
    """Folder of the clips; without it `clips` in the state folder."""
    events: tuple[EventKind, ...] = ("enter", "dwell", "cross")
    """Kinds of events to save."""
    before_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    """Seconds before the event."""
    after_s: Annotated[float, Field(ge=0, le=300)] = 5.0
    """Seconds after the event."""
    budget_mb: Megabytes = 2000.0
    """Maximum size of the folder in MB; the oldest clips are deleted."""


class RingConfig(_Section):
    """Ring of frames to learn from: a share at random, the rest by doubt."""

    folder: LocalPath | None = None
    """Folder of the ring; without it `ring` in the state folder."""
    megabytes: Annotated[float, Field(ge=10, le=100_000_000)] = 500.0
    """Maximum size of the folder in MB; the least valuable frames are removed."""
    days: Annotated[float, Field(gt=0, le=3650)] = 30.0
    """Frames are removed after this many days."""
    random_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Share of the size for frames drawn at random, by which recall is estimated."""


class HealthConfig(_Section):
    """Limits of /readyz."""

    ready_s: Seconds = 10.0
    """Maximum age of the newest result of each camera."""
    free_mb: Annotated[float, Field(ge=0, le=100_000_000)] = 1000.0
    """Free disk space in MB, which clips, the ring and the spool leave alone."""


class LogConfig(_Section):
    """Log on stderr."""

    format: Literal["json", "text"] = "json"
    """One JSON object or one line of text for each message."""
    level: Literal["debug", "info", "warning"] = "info"
    """Lowest level that is written."""


class ServiceConfig(_Section):
    """Configuration of `edgeloop serve`."""

    name: Name = Field(default_factory=lambda: socket.gethostname().partition(".")[0][:40] or "edgeloop")
    """Name of this device in topics, metrics and on the page."""
    state: LocalPath
    """Folder of everything that the service keeps: models, spool, clips, ring."""
    cameras: Annotated[dict[Name, CameraConfig], Field(min_length=1, max_length=64)]
    """Cameras by name."""
    models: Annotated[dict[Name, ModelConfig], Field(min_length=1, max_length=16)]
    """Models by name."""
    web: WebConfig = WebConfig()
    mqtt: MqttConfig | None = None
    webhooks: Annotated[tuple[WebhookConfig, ...], Field(max_length=16)] = ()
    clips: ClipsConfig | None = None
    ring: RingConfig | None = None
    health: HealthConfig = HealthConfig()
    probation: ProbationConfig = ProbationConfig()
    log: LogConfig = LogConfig()

    @property
    def clips_folder(self) -> Path:
        """Folder of the clips, if there are any; it need not exist."""
        return (self.clips and self.clips.folder) or self.state / "clips"

    @property
    def ring_folder(self) -> Path:
        """Folder of the ring, if there is one; it need not exist."""
        return (self.ring and self.ring.folder) or self.state / "ring"

    def model_of(self, camera: str) -> str:
        """Name of the model of a camera."""
        return self.cameras[camera].model or next(iter(self.models))
