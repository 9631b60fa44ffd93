"""All checks of a configuration, in parallel and within a bounded time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from edgeloop.edge.service.check.attempt import Attempt, CheckResult, try_all
from edgeloop.edge.service.check.check_camera import check_camera, check_places_of
from edgeloop.edge.service.check.check_machine import check_clock, check_port, check_state, check_webhook
from edgeloop.edge.service.check.check_model import check_model
from edgeloop.edge.service.config.config_file import config_warnings
from edgeloop.edge.service.messages.broker import check_broker
from edgeloop.edge.service.secret_filter import secret_filter
from edgeloop.edge.service.service_config import ServiceConfig

__all__ = ["run_checks"]

CAMERA_S = 30.0
MODEL_S = 300.0
"""Time for a model; some providers build an engine for the device first."""
HOST_S = 15.0


def run_checks(path: Path, config: ServiceConfig) -> Iterator[CheckResult]:
    """Try everything that a configuration names.

    Args:
        path: File of the configuration.
        config: Its content.

    Yields:
        One result for each thing, without secrets, each as soon as it is known.
    """
    hide = secret_filter(config)
    for result in _results(path, config):
        yield replace(result, text=hide(result.text))


def _results(path: Path, config: ServiceConfig) -> Iterator[CheckResult]:
    summary = f"{path}: cameras {', '.join(config.cameras)}; models {', '.join(config.models)}"
    yield CheckResult("config", "", "ok", summary)
    for warning in config_warnings(path, config):
        yield CheckResult("config", "", "warning", warning)
    values: dict[tuple[str, str], Any] = {}
    for result in try_all(list(_attempts(config))):
        values[result.part, result.name] = result.value
        yield result
    places = []
    for name, camera in config.cameras.items():
        names = values["model", config.model_of(name)]
        if names is not None and (camera.classes or camera.zones or camera.ignore):
            fit = partial(check_places_of, camera, names, values["camera", name])
            places.append(Attempt("zones", name, _with_no_value(fit), HOST_S))
    yield from try_all(places)


def _attempts(config: ServiceConfig) -> Iterator[Attempt]:
    yield Attempt("state", "", _with_no_value(partial(check_state, config)), HOST_S)
    yield Attempt("port", "", _with_no_value(partial(check_port, config.web, config.state)), HOST_S)
    yield Attempt("clock", "", _with_no_value(check_clock), HOST_S)
    for name, model in config.models.items():
        limit_s = MODEL_S * len(config.models)  # one after the other
        yield Attempt("model", name, partial(check_model, name, model, config.state), limit_s)
    for name, camera in config.cameras.items():
        yield Attempt("camera", name, partial(check_camera, camera), CAMERA_S)
    if (mqtt := config.mqtt) is not None:

        def reach_broker() -> str:
            check_broker(mqtt)
            return f"{mqtt.host}:{mqtt.port} accepts the client"

        yield Attempt("mqtt", "", _with_no_value(reach_broker), HOST_S)
    for number, hook in enumerate(config.webhooks):
        yield Attempt("webhook", str(number + 1), _with_no_value(partial(check_webhook, hook)), HOST_S)


def _with_no_value(work: Callable[[], str]) -> Callable[[], tuple[str, None]]:
    return lambda: (work(), None)
