"""Check of a model: it loads, and computes the same here as where it was made."""

from __future__ import annotations

import threading
from pathlib import Path

from edgeloop.edge.labels.coco_json import parse_coco
from edgeloop.edge.runtime.verification import verify
from edgeloop.edge.service.service_config import ModelConfig
from edgeloop.edge.service.store.model_store import ModelStore
from edgeloop.models.errors import DataError, ModelError, NoInputError

__all__ = ["check_model"]

_ONE_AT_A_TIME = threading.Lock()
"""Two models that are timed at the same time take the cores from each other."""


def check_model(name: str, config: ModelConfig, state: Path) -> tuple[str, tuple[str, ...]]:
    """Load a model, run its golden sample and measure its time.

    Args:
        name: Its name in the configuration.
        config: Its settings.
        state: State folder, which has its file if the settings name none.

    Returns:
        Verdict and figures as text, and its class names.

    Raises:
        EdgeloopError: It is missing, damaged, or computes something else.
    """
    if config.loop is not None:
        if not (config.loop / "loop.json").is_file():
            raise NoInputError(f"{config.loop}: no loop; expected a folder that `edgeloop teach` made")
        return f"{config.loop}: a loop, of which a teacher or its student answers", _taught_names(config.loop)
    path = config.file or _installed(state, name)
    with _ONE_AT_A_TIME:
        found = verify(
            path, provider=config.provider, allow_cpu=config.allow_cpu, overrides=config.stated_facts()
        )
    golden = found.golden
    if golden.verdict == "different":
        raise ModelError(f"{path}: computes something else on {found.placement.provider}: {golden.reason}")
    verdict = golden.verdict if golden.passed else f"not verified: {golden.reason}"
    figures = f"{found.latency_ms:.1f} ms an inference, {len(found.spec.names)} classes"
    return f"{path}: {verdict}; {found.placement}, {figures}", tuple(found.spec.names)


def _taught_names(loop: Path) -> tuple[str, ...]:
    """Classes of the person's boxes."""
    categories = parse_coco(loop / "exemplars" / "instances.json").categories
    return tuple(category.name for category in categories if category.name != "_ignore")


def _installed(state: Path, name: str) -> Path:
    """Path of the current model in the store, which is left as it is."""
    store = ModelStore(state, name)
    current = store.read().current
    if current is None:
        raise NoInputError(f"no model is installed; edgeloop install x.onnx --state {state} --name {name}")
    if not store.is_whole(current):
        raise DataError(f"{store.path(current)}: is damaged or missing; install it again")
    return store.path(current)
