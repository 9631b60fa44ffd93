"""Example and schema of the configuration are what the code takes."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from edgeloop.edge.service.config.config_file import read_config
from edgeloop.edge.service.config.config_schema import config_schema
from edgeloop.edge.service.service_config import (
    CameraConfig,
    ClipsConfig,
    HealthConfig,
    LogConfig,
    ModelConfig,
    MqttConfig,
    ProbationConfig,
    RingConfig,
    ServiceConfig,
    WebConfig,
    WebhookConfig,
)
from edgeloop.models.errors import DataError
from tests.calls import Outcome

ROOT = Path(__file__).parents[4]
EXAMPLE = ROOT / "recipes" / "service" / "edgeloop.toml"
SECTIONS: dict[str, type[BaseModel]] = {
    "": ServiceConfig,
    "models.parts": ModelConfig,
    "cameras.gate": CameraConfig,
    "web": WebConfig,
    "mqtt": MqttConfig,
    "webhooks": WebhookConfig,
    "clips": ClipsConfig,
    "ring": RingConfig,
    "health": HealthConfig,
    "probation": ProbationConfig,
    "log": LogConfig,
}


@pytest.fixture
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GATE_PASSWORD", "EDGELOOP_TOKEN", "MQTT_PASSWORD", "HOOK_KEY", "HOOK_TOKEN"):
        monkeypatch.setenv(name, "0123456789abcdef")


@pytest.mark.usefixtures("_secrets")
def test_the_example_is_a_configuration_also_with_every_key(tmp_path: Path) -> None:
    path = tmp_path / "edgeloop.toml"
    every_key = _uncommented(EXAMPLE.read_text()).replace("tls = false", "tls = true")
    with_loop = re.sub(r"^(file = \"parts|head|names).*\n", "", every_key, flags=re.MULTILINE)
    with_file = every_key.replace('loop = "parts.loop"', "")
    for text in (EXAMPLE.read_text(), with_loop, with_file):
        path.write_text(text)
        assert list(read_config(path).cameras) == ["gate", "belt"]


@pytest.mark.usefixtures("_secrets")
def test_a_model_has_one_origin(tmp_path: Path) -> None:
    path = tmp_path / "edgeloop.toml"
    path.write_text(_uncommented(EXAMPLE.read_text()).replace("tls = false", "tls = true"))
    with pytest.raises(
        DataError, match=r"edgeloop.toml:\d+: models.parts: file and loop are both given; leave one"
    ):
        read_config(path)


def test_the_example_has_every_key_with_its_default() -> None:
    for place, model in SECTIONS.items():
        shown = dict(_keys(EXAMPLE.read_text(), place))
        fields = model.model_fields
        sections = {key.partition(".")[0] for key in SECTIONS} if not place else set()
        assert set(shown) == set(fields) - sections, place
        for key, (value, is_example) in shown.items():
            default = fields[key].get_default()
            if not is_example and default is not PydanticUndefined:
                assert value == (list(default) if isinstance(default, tuple) else default), f"{place}.{key}"


def test_the_schema_in_the_documentation_is_current(edgeloop: Any) -> None:
    assert (ROOT / "docs" / "reference" / "edgeloop.schema.json").read_text() == config_schema()
    assert edgeloop("check", "--schema") == Outcome(0, config_schema(), "")


def test_every_key_of_the_schema_is_described() -> None:
    schema = json.loads(config_schema())
    for section in [schema, *schema["$defs"].values()]:
        for key, node in section["properties"].items():
            assert node.get("description") or "$ref" in json.dumps(node), key


def test_no_secret_has_a_default() -> None:
    for model in SECTIONS.values():
        assert not [
            name for name, field in model.model_fields.items() if isinstance(field.default, SecretStr)
        ]


def _uncommented(text: str) -> str:
    return re.sub(r"^#(?=[a-z_]+ = )", "", text, flags=re.MULTILINE)


def _keys(text: str, place: str) -> Iterator[tuple[str, tuple[Any, bool]]]:
    """Keys of a section with value, and if that is an example."""
    section = ""
    for line in text.splitlines():
        if header := re.match(r"\[+([a-z.]+)\]", line):
            section = header[1]
        elif (found := re.match(r"#?([a-z_]+ = .*)", line)) and section == place:
            ((key, value),) = tomllib.loads(found[1]).items()
            yield key, (value, not line.startswith("#") or "# example" in line)
