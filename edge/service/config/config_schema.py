"""JSON schema of the configuration, for editors."""

from __future__ import annotations

import json

from edgeloop.edge.service.service_config import ServiceConfig

__all__ = ["config_schema"]


def config_schema() -> str:
    """Write the JSON schema (2020-12) of the configuration file of a service."""
    schema = ServiceConfig.model_json_schema()
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    content["title"] = "edgeloop.toml"
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
